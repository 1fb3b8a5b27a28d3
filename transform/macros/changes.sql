{#
    What a run has to do.

    `stg_zentra__readings` takes from the tables what is new since the last run, which their keys find: of each device
    all behind its newest record, and as much before that as the tap reads again. Of that it keeps what differs from
    what it has, and stamps it with the run. All models behind it compute the days of the stamped rows anew, whole, so that they
    hold what a full build would.
#}

{# The condition for rows of `readings` that may be new; true in a full build. #}
{% macro maybe_new_v4(relation) -%}
    {%- if not is_incremental() or relation is none -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set behind = [] -%}
    {%- for row in run_query(newest_mrids(relation)) -%}
        {%- set after = '' if row[1] is none or row[0] in var('rebuild_device_sns')
            else ' and mrid > ' ~ (row[1] | int - var('mrid_lookback') | int) -%}
        {%- do behind.append((row[0], after)) -%}
    {%- endfor -%}
    {{ return(rows_behind(behind)) }}
{%- endmacro %}


{#
    A query: each device of `readings`, with the mrid of its newest reading that is staged; null if everything may be new.

    A device that was wiped, or replaced under its serial number, counts anew: there are first records newer than what is
    known, or the tap says that its last mrid is a lower one.
#}
{% macro newest_mrids(relation) -%}
    {%- set told = 'last_mrid' in columns_of(loaded('devices')) -%}
    with there as ({{ devices_of(relation) }}),
    newest as (
        select
            there.device_sn,
            (
                select max(known.timestamp_utc)
                from {{ this }} as known
                where known.device_sn = there.device_sn and known.api = 'v4'
                    and known.timestamp_utc <= {{ tomorrow() }}
            ) as timestamp_utc
        from there
    ),
    marks as (
        select newest.device_sn, max(known.mrid) as mrid
        from newest
        left join {{ this }} as known
            on known.device_sn = newest.device_sn
            and known.api = 'v4'
            and known.timestamp_utc = newest.timestamp_utc
        group by newest.device_sn
    ),
    anew as (
        select distinct readings.device_sn
        from {{ relation }} as readings
        inner join newest on newest.device_sn = readings.device_sn
        where readings.mrid <= 200 and readings.timestamp_utc > newest.timestamp_utc
            and readings.timestamp_utc <= {{ tomorrow() }}
        {%- if told %}
        union
        select marks.device_sn
        from marks
        inner join {{ loaded('devices') }} as devices on devices.device_sn = marks.device_sn
        where devices.last_mrid < marks.mrid
        {%- endif %}
    )
    select marks.device_sn, case when anew.device_sn is null then marks.mrid end as mrid
    from marks
    left join anew on anew.device_sn = marks.device_sn
    order by marks.device_sn
{%- endmacro %}


{# The same for `readings_v5`, of which nothing counts up to the last record that v4 has sent. #}
{% macro maybe_new_v5(relation) -%}
    {%- if not is_incremental() or relation is none -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set query -%}
        with there as ({{ devices_of(relation) }})
        select
            there.device_sn,
            (
                select {{ dbt.dateadd('day', '-' ~ var('lookback_days'), 'max(known.timestamp_utc)') }}
                from {{ this }} as known
                where known.device_sn = there.device_sn and known.api = 'v5'
            ) as looked_back,
            (
                select max(known.timestamp_utc)
                from {{ this }} as known
                where known.device_sn = there.device_sn and known.api = 'v4'
                    and known.timestamp_utc <= {{ tomorrow() }}
            ) as end_of_v4
        from there
        order by there.device_sn
    {%- endset -%}
    {%- set behind = [] -%}
    {%- for row in run_query(query) -%}
        {%- set looked_back = none if row[0] in var('rebuild_device_sns') else row[1] -%}
        {%- set ends = [looked_back, row[2]] | reject('none') | list -%}
        {%- set after = ' and timestamp_utc > ' ~ moment(ends | max) if ends else '' -%}
        {%- do behind.append((row[0], after)) -%}
    {%- endfor -%}
    {{ return(rows_behind(behind)) }}
{%- endmacro %}


{# The condition for rows of these devices, each with what else must hold of its rows. #}
{% macro rows_behind(devices) -%}
    {%- set conditions = [] -%}
    {%- for device_sn, after in devices -%}
        {%- do conditions.append('(device_sn = ' ~ as_text(device_sn) ~ after ~ ')') -%}
    {%- endfor -%}
    {{ return('(' ~ (conditions or ['false']) | join('\n        or ') ~ ')') }}
{%- endmacro %}


{#
    The configuration of models that replace whole days of a device.

    Args:
        more: The columns of each further index.
#}
{% macro of_whole_days(more=[]) -%}
    {%- set indexes = [] -%}
    {%- if target.type == 'postgres' -%}
        {%- for columns in [['device_sn', 'local_date'], ['staged_at']] + more -%}
            {%- do indexes.append({'columns': columns}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'delete+insert',
        'unique_key': ['device_sn', 'local_date'],
        'indexes': indexes,
        'pre_hook': allow_memory(),
        'post_hook': gather_statistics(),
    }) }}
{%- endmacro %}


{#
    The readings of all days that have changed since this model's last run; all of them in a full build.

    Args:
        heirs: Also those of days that take their interval from such a day.
#}
{% macro readings_of_changed_days(heirs=false) -%}
    {%- if is_incremental() -%}
    (
        select readings.*
        from {{ ref('stg_zentra__readings') }} as readings
        inner join ({{ changed_days() if not heirs else changed_days_and_heirs() }}) as changed
            on changed.device_sn = readings.device_sn
            and changed.local_date = readings.local_date
    )
    {%- else -%}
    {{ ref('stg_zentra__readings') }}
    {%- endif -%}
{%- endmacro %}


{% macro changed_days() %}
            select distinct device_sn, local_date
            from {{ ref('stg_zentra__readings') }}
            where staged_at > {{ newest_stamp() }}
{%- endmacro %}


{% macro changed_days_and_heirs() %}
            select distinct days.device_sn, days.local_date
            from ({{ changed_days() }}) as changed
            inner join {{ ref('int_zentra__days') }} as origin
                on origin.device_sn = changed.device_sn
                and origin.local_date = changed.local_date
            inner join {{ ref('int_zentra__days') }} as days
                on days.device_sn = origin.device_sn
                and (days.local_date = origin.local_date or days.interval_date = origin.interval_date)
{%- endmacro %}


{# Of the rows that this model has; as a constant, for which PostgreSQL knows that few rows are newer. #}
{% macro newest_stamp() -%}
    {%- set newest = run_query('select max(staged_at) from ' ~ this).rows[0][0] if execute -%}
    {{ moment(newest or '1970-01-01') }}
{%- endmacro %}
