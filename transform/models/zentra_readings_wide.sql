{{ config(on_schema_change='append_new_columns', **of_whole_days([['timestamp_utc']])) }}

{%- set columns = wide_columns() %}

with channels as (
    {%- for column in columns %}
    select
        {{ column.port_number }} as port_number,
        {{ as_text(column.measurement) }} as measurement,
        {{ column.sub_sensor_index }} as sub_sensor_index,
        {{ loop.index }} as channel
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as integer) as port_number,
        cast(null as varchar) as measurement,
        cast(null as integer) as sub_sensor_index,
        cast(null as integer) as channel
    where false
    {%- endfor %}
),

records as (
    select
        readings.device_sn,
        readings.timestamp_utc,
        max(readings.local_time) as local_time,
        readings.local_date,
        max(readings.utc_offset) as utc_offset,
        readings.api,
        readings.mrid,
        max(readings.staged_at) as staged_at
        {%- for column in columns %},
        max(case when channels.channel = {{ loop.index }} and not coalesce(readings.error_flag, false) then readings.value end)
            as {{ column.name }}
        {%- endfor %}
    from {{ readings_of_changed_days() }} as readings
    inner join channels
        on channels.port_number = readings.port_number
        and channels.measurement = readings.measurement
        and channels.sub_sensor_index = readings.sub_sensor_index
    group by readings.device_sn, readings.timestamp_utc, readings.local_date, readings.api, readings.mrid
),

ranked as (
    select
        *,
        row_number() over (partition by device_sn, timestamp_utc order by api desc, mrid desc) as place
    from records
)

select
    device_sn,
    timestamp_utc,
    local_time,
    local_date,
    utc_offset,
    api,
    mrid,
    staged_at
    {%- for column in columns %},
    {{ column.name }}
    {%- endfor %}
from ranked
where place = 1
