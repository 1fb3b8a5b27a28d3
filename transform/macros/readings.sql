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


{#
    The readings of a service from both of its tables; of a record that both have, those of the compact one.

    Args:
        plain: The table with a row for each reading; none: there is no such table.
        compact: The table with a row for each device and time; likewise.
        api: The service.
        condition: The macro that tells which rows of a table.
#}
{% macro all_readings_of(plain, compact, api, condition) -%}
    {{ readings_of(plain, api, condition(plain)) }}
    {%- if compact is not none %}
    {%- if plain is not none %}
        and not exists (
            select 1
            from {{ compact }} as records
            where records.device_sn = loaded.device_sn
                and records.timestamp_utc = loaded.timestamp_utc
                {%- if api == 'v4' %}
                and records.mrid = loaded.mrid
                {%- endif %}
        )
    {%- endif %}
    union all
    {{ readings_of(compact, api, condition(compact)) }}
    {%- endif %}
{%- endmacro %}


{#
    The readings of a table, with the columns that both services have before they are one table.

    Args:
        relation: The table; none: there is no such table, and no reading.
        api: The service.
        condition: Which of them.
#}
{% macro readings_of(relation, api, condition) -%}
    {%- set columns = columns_of(relation) -%}
    {%- set is_compact = 'readings' in columns -%}
    {%- set columns = columns + in_each_reading() if is_compact else columns -%}
    select
        cast('{{ api }}' as varchar) as api,
        {{ column_or_null(columns, 'device_sn', 'varchar') }} as device_sn,
        {{ column_or_null(columns, 'device_name', 'varchar') }} as device_name,
        {{ column_or_null(columns, 'timestamp_utc', 'timestamp') }} as timestamp_utc,
        -- The local time of a reading whose service tells no offset is taken to be UTC.
        coalesce(
            {{ column_or_null(columns, 'tz_offset', 'integer') }},
            {{ offset_of(column_or_null(columns, 'local_datetime', 'varchar')) }},
            0
        ) as utc_offset,
        {{ column_or_null(columns, 'port_number', 'integer') }} as port_number,
        {{ column_or_null(columns, 'measurement', 'varchar') }} as measurement,
        {{ column_or_null(columns, 'sub_sensor_index', 'integer') }} as sub_sensor_index,
        nullif({{ column_or_null(columns, 'sensor_name', 'varchar') }}, '') as sensor_name,
        {{ column_or_null(columns, 'sensor_sn', 'varchar') }} as sensor_sn,
        {{ column_or_null(columns, 'depth', 'varchar') }} as depth,
        {{ column_or_null(columns, 'value', number_type()) }} as value,
        {{ column_or_null(columns, 'units', 'varchar') }} as units,
        {{ column_or_null(columns, 'error_flag', 'boolean') }} as error_flag,
        {{ column_or_null(columns, 'error_code', 'integer') }} as error_code,
        {{ column_or_null(columns, 'error_description', 'varchar') }} as error_description,
        {{ column_or_null(columns, 'mrid', 'bigint') }} as mrid
    {% if relation is none %}where false{% else %}from {{ expanded(relation) if is_compact else relation }} as loaded
    where {{ condition }}{% endif %}
{%- endmacro %}


{# The fields of a reading in the compact form, as far as the models need them. #}
{% macro in_each_reading() -%}
    {{ return([
        'port_number', 'measurement', 'sub_sensor_index', 'sensor_name', 'sensor_sn', 'depth', 'value', 'units',
        'error_flag', 'error_code', 'error_description',
    ]) }}
{%- endmacro %}


{# A compact table with a row for each reading. What a reading says itself counts more than what its record says. #}
{% macro expanded(relation) -%}
    (
        select
            {%- for name in columns_of(relation) if name != 'readings' %}
            {%- if name in ['device_name', 'local_datetime'] %}
            coalesce({{ field_of_reading(name, 'varchar') }}, records.{{ name }}) as {{ name }},
            {%- elif name == 'tz_offset' %}
            coalesce({{ field_of_reading(name, 'integer') }}, records.{{ name }}) as {{ name }},
            {%- else %}
            records.{{ name }},
            {%- endif %}
            {%- endfor %}
            {%- for name in in_each_reading() %}
            {{ field_of_reading(name, 'varchar') }} as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ relation }} as records
        {{ each_reading() }}
    )
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
    The value of each channel in each period, for models that hold whole local days.

    Args:
        period: SQL for each column that tells the periods of a day apart, by its name; none for whole days.
        seconds: SQL for how long a period is.
#}
{% macro values_of(period, seconds) -%}
    {%- set channel = ['port_number', 'measurement', 'sub_sensor_index', 'sensor_name', 'sensor_sn', 'units'] -%}
    {%- set key = ['device_sn'] + period.keys() | list + ['local_date'] + channel -%}

with readings as (
    select
        device_sn,
        {%- for name, expression in period.items() %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        local_date,
        {{ channel | join(', ') }},
        depth,
        timestamp_utc,
        staged_at,
        {{ aggregation() }} as aggregation,
        case when not coalesce(error_flag, false) then cast(value as double precision) end as value
    from {{ readings_of_changed_days(heirs=true) }} as staged
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
        avg(case when aggregation = 'vector mean' then cos(radians(value)) end) as north,
        avg(case when aggregation = 'vector mean' then sin(radians(value)) end) as east,
        count(value) as readings,
        count(*) - count(value) as flagged,
        min(timestamp_utc) as first_reading_utc,
        max(timestamp_utc) as last_reading_utc,
        max(staged_at) as staged_at
    from readings
    group by {{ key | join(', ') }}
),

expecting as (
    select
        grouped.*,
        cast(round(cast({{ seconds }} as double precision) / days.interval_seconds) as integer) as expected
    from grouped
    inner join {{ ref('int_zentra__days') }} as days
        on days.device_sn = grouped.device_sn
        and days.local_date = grouped.local_date
)

select
    {{ key | join(', ') }},
    depth,
    aggregation,
    {{ rounded(
        "case aggregation when 'sum' then total when 'max' then highest when 'mean' then mean else "
        ~ direction('north', 'east') ~ ' end'
    ) }} as value,
    case aggregation when 'mean' then lowest end as min_value,
    case aggregation when 'mean' then highest end as max_value,
    readings,
    flagged,
    expected,
    {{ rounded(at_most_one('cast(readings + flagged as double precision) / nullif(expected, 0)')) }} as share,
    first_reading_utc,
    last_reading_utc,
    staged_at
from expecting
{%- endmacro %}


{# Degrees from 0, and less than 360 when rounded, of a mean vector; null where the vectors cancel each other out. #}
{% macro direction(north, east) -%}
    {%- set degrees = 'degrees(atan2(' ~ east ~ ', ' ~ north ~ '))' -%}
    case
        when abs({{ north }}) + abs({{ east }}) < 1e-9 then null
        when {{ degrees }} < -0.0000005 then {{ degrees }} + 360
        else abs({{ degrees }})
    end
{%- endmacro %}


{# PostgreSQL's `least` leaves null out. #}
{% macro at_most_one(number) -%}
    case when {{ number }} > 1 then 1.0 else {{ number }} end
{%- endmacro %}


{# Null for units that are no depth of water. #}
{% macro millimetres(value, units) -%}
    {{ value }} * (case {{ units }} when 'mm' then 1.0 when 'in' then 25.4 end)
{%- endmacro %}
