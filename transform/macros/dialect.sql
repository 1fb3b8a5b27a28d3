{# What the three databases say differently. #}

{% macro seconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('seconds_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    cast(extract(epoch from {{ later }}) - extract(epoch from {{ earlier }}) as bigint)
{%- endmacro %}

{% macro snowflake__seconds_between(earlier, later) -%}
    datediff(second, {{ earlier }}, {{ later }})
{%- endmacro %}


{# A number that people read: a sum of 0.1 and 0.2 is 0.3. #}
{% macro rounded(number) -%}
    {{ return(adapter.dispatch('rounded')(number)) }}
{%- endmacro %}

{% macro default__rounded(number) -%}
    round(cast({{ number }} as double precision), 6)
{%- endmacro %}

{# PostgreSQL rounds exact numbers alone. #}
{% macro postgres__rounded(number) -%}
    cast(round(cast({{ number }} as numeric), 6) as double precision)
{%- endmacro %}


{# The type of the tables' own values: PostgreSQL keeps the digits that the service sent. #}
{% macro number_type() -%}
    {{ return('numeric' if target.type == 'postgres' else 'double precision') }}
{%- endmacro %}


{% macro now_utc() -%}
    {{ return(adapter.dispatch('now_utc')()) }}
{%- endmacro %}

{% macro default__now_utc() -%}
    (now() at time zone 'utc')
{%- endmacro %}

{% macro snowflake__now_utc() -%}
    cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
{%- endmacro %}


{# What is stamped later than this has been stamped by a wrong clock. #}
{% macro tomorrow() -%}
    {{ dbt.dateadd('day', 1, now_utc()) }}
{%- endmacro %}


{# All devices of a table. PostgreSQL walks the index of the key, which begins with them, instead of reading it all. #}
{% macro devices_of(relation) -%}
    {{ return(adapter.dispatch('devices_of')(relation)) }}
{%- endmacro %}

{% macro default__devices_of(relation) -%}
    select distinct device_sn from {{ relation }}
{%- endmacro %}

{% macro postgres__devices_of(relation) -%}
    with recursive walk as (
        select min(device_sn) as device_sn from {{ relation }}
        union all
        select (select min(there.device_sn) from {{ relation }} as there where there.device_sn > walk.device_sn)
        from walk
        where walk.device_sn is not null
    )
    select device_sn from walk where device_sn is not null
{%- endmacro %}


{# A full build groups all readings; with PostgreSQL's usual 4 MB it would do so in many small files. #}
{% macro allow_memory() -%}
    {% if target.type == 'postgres' %}set local work_mem = '256MB'{% endif %}
{%- endmacro %}


{#
    PostgreSQL plans by figures that it has not gathered yet when a table has just been filled.

    A hook is rendered when the project is parsed, where no run is incremental yet: this and the one above are of all runs.
#}
{% macro gather_statistics() -%}
    {% if target.type == 'postgres' %}analyze {{ this }}{% endif %}
{%- endmacro %}


{# A text of the data in SQL. #}
{% macro as_text(text) -%}
    {{ return(dbt.string_literal(dbt.escape_single_quotes(text))) }}
{%- endmacro %}


{# A moment, as text, that no time zone of the session changes. #}
{% macro moment(text) -%}
    cast('{{ text }}' as timestamp)
{%- endmacro %}

{% macro run_began() -%}
    {{ moment(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f')) }}
{%- endmacro %}


{# Joins each row of a compact table, `records`, with each of its readings. #}
{% macro each_reading() -%}
    {{ return(adapter.dispatch('each_reading')()) }}
{%- endmacro %}

{% macro default__each_reading() -%}
    cross join unnest(records.readings) as each(reading)
{%- endmacro %}

{% macro postgres__each_reading() -%}
    cross join jsonb_array_elements(records.readings) as each(reading)
{%- endmacro %}

{% macro snowflake__each_reading() -%}
    cross join lateral flatten(input => records.readings) as each
{%- endmacro %}


{# A field of such a reading; null where it has none of this name. #}
{% macro field_of_reading(name, type) -%}
    {{ return(adapter.dispatch('field_of_reading')(name, type)) }}
{%- endmacro %}

{% macro default__field_of_reading(name, type) -%}
    cast(each.reading ->> '{{ name }}' as {{ type }})
{%- endmacro %}

{% macro snowflake__field_of_reading(name, type) -%}
    cast(each.value['{{ name }}'] as {{ type }})
{%- endmacro %}
