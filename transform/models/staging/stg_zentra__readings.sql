{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key="device_sn, api, timestamp_utc, port_number, measurement, sub_sensor_index, "
        "case when api = 'v5' then coalesce(sensor_name, '') else '' end, coalesce(mrid, -1)",
    indexes=[
        {'columns': ['device_sn', 'api', 'timestamp_utc']},
        {'columns': ['device_sn', 'local_date']},
        {'columns': ['staged_at'], 'type': 'brin'},
    ] if target.type == 'postgres' else [],
    pre_hook=allow_memory(),
    post_hook=gather_statistics(),
) }}

with v4 as (
    {{ all_readings_of(loaded('readings'), loaded('records'), 'v4', maybe_new_v4) }}
),

v4_ends as (
    select device_sn, max(timestamp_utc) as timestamp_utc
    from v4
    where timestamp_utc <= {{ tomorrow() }}
    group by device_sn
),

v5 as (
    {{ all_readings_of(loaded('readings_v5'), loaded('records_v5'), 'v5', maybe_new_v5) }}
),

united as (
    select * from v4
    union all
    select v5.*
    from v5
    left join v4_ends on v4_ends.device_sn = v5.device_sn
    where v4_ends.timestamp_utc is null or v5.timestamp_utc > v4_ends.timestamp_utc
),

readings as (
    select
        api,
        device_sn,
        device_name,
        timestamp_utc,
        {{ dbt.dateadd('second', 'utc_offset', 'timestamp_utc') }} as local_time,
        cast({{ dbt.dateadd('second', 'utc_offset', 'timestamp_utc') }} as date) as local_date,
        utc_offset,
        port_number,
        measurement,
        sub_sensor_index,
        sensor_name,
        sensor_sn,
        depth,
        value,
        units,
        error_flag,
        error_code,
        error_description,
        mrid,
        {{ run_began() }} as staged_at
    from united
)

select readings.*
from readings
{%- if is_incremental() %}
left join {{ this }} as known
    on known.device_sn = readings.device_sn
    and known.api = readings.api
    and known.timestamp_utc = readings.timestamp_utc
    and known.port_number = readings.port_number
    and known.measurement = readings.measurement
    and known.sub_sensor_index = readings.sub_sensor_index
    -- The keys of the tables: with v5, the sensor's name tells readings apart.
    and (readings.api = 'v4' or coalesce(known.sensor_name, '') = coalesce(readings.sensor_name, ''))
    and coalesce(known.mrid, -1) = coalesce(readings.mrid, -1)
where
    known.device_sn is null
    {%- for column in [
        'value', 'units', 'error_flag', 'error_code', 'error_description', 'utc_offset', 'sensor_name', 'sensor_sn',
        'depth', 'device_name',
    ] %}
    or known.{{ column }} is distinct from readings.{{ column }}
    {%- endfor %}
{%- endif %}
