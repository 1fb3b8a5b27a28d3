{# What a reading is, and what an hour or a day makes of many. #}

{# Seconds that the local time of a text such as `2026-06-01 11:45:00-04:00` is ahead of UTC; null if it does not end so. #}
{% macro offset_of(text) -%}
    {%- set tail = 'right(' ~ text ~ ', 6)' -%}
    case
        when translate({{ tail }}, '0123456789', '') in ('+:', '-:') and length({{ tail }}) = 6
        then (case left({{ tail }}, 1) when '-' then -1 else 1 end)
            * (cast(substr({{ tail }}, 2, 2) as integer) * 3600 + cast(substr({{ tail }}, 5, 2) as integer) * 60)
    end
{%- endmacro %}


{# The offset of the local time; the time zone of a reading whose service tells none is taken to be UTC. #}
{% macro offset_v4(columns) -%}
    coalesce(
        {{ column_or_null(columns, 'tz_offset', 'integer') }},
        {{ offset_v5(columns) }}
    )
{%- endmacro %}

{% macro offset_v5(columns) -%}
    {%- if 'local_datetime' in columns -%}
        coalesce({{ offset_of('local_datetime') }}, 0)
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{# No row, with the columns that the readings of a service have before they are one table. #}
{% macro no_readings() %}
    select
        cast(null as varchar) as api,
        cast(null as varchar) as device_sn,
        cast(null as varchar) as device_name,
        cast(null as timestamp) as timestamp_utc,
        cast(null as integer) as utc_offset,
        cast(null as integer) as port_number,
        cast(null as varchar) as measurement,
        cast(null as integer) as sub_sensor_index,
        cast(null as varchar) as sensor_name,
        cast(null as varchar) as sensor_sn,
        cast(null as varchar) as depth,
        cast(null as {{ number_type() }}) as value,
        cast(null as varchar) as units,
        cast(null as boolean) as error_flag,
        cast(null as integer) as error_code,
        cast(null as varchar) as error_description,
        cast(null as bigint) as mrid
    where false
{%- endmacro %}


{% macro in_list(name, list) -%}
    {{ name }} in ({% for one in list %}{{ as_text(one) }}{{ ', ' if not loop.last }}{% else %}null{% endfor %})
{%- endmacro %}


{# The name of the rule, by measurement. #}
{% macro aggregation() -%}
    case
        when {{ in_list('measurement', var('sums')) }} then 'sum'
        when {{ in_list('measurement', var('maxima')) }} then 'max'
        when {{ in_list('measurement', var('directions')) }} then 'vector mean'
        else 'mean'
    end
{%- endmacro %}


{#
    The values of periods, by `period` and `local_date` of the columns that stand in front of the others.

    Args:
        period: Columns, as SQL with names, that tell the periods of a device's day apart; empty for the whole day.
        names: Their names.
#}
{% macro aggregated(period, names) -%}
    {%- set channel = ['port_number', 'measurement', 'sub_sensor_index', 'sensor_name', 'sensor_sn', 'units'] -%}
    {%- set key = ['device_sn'] + names + ['local_date'] + channel -%}
    {%- set valid = "case when value is not null and not coalesce(error_flag, false) then cast(value as double precision) end" -%}

with valid as (
    select
        device_sn,
        {{ period }}
        local_date,
        {{ channel | join(', ') }},
        depth,
        timestamp_utc,
        staged_at,
        {{ aggregation() }} as aggregation,
        {{ valid }} as value
    from {{ readings_of_changed_days() }} as readings
),

grouped as (
    select
        {{ key | join(', ') }},
        max(depth) as depth,
        min(aggregation) as aggregation,
        sum(value) as total,
        avg(value) as mean,
        min(value) as lowest,
        max(value) as highest,
        avg(case when aggregation = 'vector mean' then cos(radians(value)) end) as east,
        avg(case when aggregation = 'vector mean' then sin(radians(value)) end) as north,
        count(value) as readings,
        count(*) - count(value) as flagged,
        min(timestamp_utc) as first_reading_utc,
        max(timestamp_utc) as last_reading_utc,
        max(staged_at) as staged_at
    from valid
    group by {{ key | join(', ') }}
)

select
    {% for name in key %}grouped.{{ name }}, {% endfor %}
    grouped.depth,
    grouped.aggregation,
    {{ rounded(
        "case grouped.aggregation
        when 'sum' then grouped.total
        when 'max' then grouped.highest
        when 'mean' then grouped.mean
        else " ~ direction('grouped.east', 'grouped.north') ~ "
    end") }} as value,
    case grouped.aggregation when 'mean' then grouped.lowest end as min_value,
    case grouped.aggregation when 'mean' then grouped.highest end as max_value,
    grouped.readings,
    grouped.flagged,
{%- endmacro %}


{# Degrees from 0 to 360 of a mean vector; null where the vectors cancel each other out. #}
{% macro direction(east, north) -%}
    case
        when abs({{ east }}) + abs({{ north }}) < 1e-9 then null
        when {{ north }} < 0 then degrees(atan2({{ north }}, {{ east }})) + 360
        else degrees(atan2({{ north }}, {{ east }}))
    end
{%- endmacro %}


{# How many values are to be expected of some seconds, and the share of them that came; null where that is not known. #}
{% macro came(count, seconds, interval) -%}
    {%- set expected = 'cast(round(cast(' ~ seconds ~ ' as double precision) / nullif(' ~ interval ~ ', 0)) as integer)' -%}
    {{ expected }} as expected,
    {{ rounded(at_most_one('cast(' ~ count ~ ' as double precision) / nullif(' ~ expected ~ ', 0)')) }} as share,
{%- endmacro %}


{# PostgreSQL's `least` leaves null out. #}
{% macro at_most_one(number) -%}
    case when {{ number }} > 1 then 1.0 else {{ number }} end
{%- endmacro %}


{# Null for units that are no depth of water. #}
{% macro millimetres(value, units) -%}
    {{ value }} * (case {{ units }} when 'mm' then 1.0 when 'in' then 25.4 end)
{%- endmacro %}
