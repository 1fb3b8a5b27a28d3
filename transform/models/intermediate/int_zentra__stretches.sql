{{ config(**of_whole_days()) }}

with moments as (
    select
        device_sn,
        local_date,
        timestamp_utc,
        max(device_name) as device_name,
        max(utc_offset) as utc_offset,
        max(staged_at) as staged_at
    from {{ readings_of_changed_days() }} as readings
    group by device_sn, local_date, timestamp_utc
),

steps as (
    select
        *,
        {{ seconds_between(
            'lag(timestamp_utc) over (partition by device_sn, local_date order by timestamp_utc)', 'timestamp_utc'
        ) }} as step,
        first_value(utc_offset) over (partition by device_sn, local_date order by timestamp_utc) as offset_before,
        first_value(utc_offset) over (partition by device_sn, local_date order by timestamp_utc desc) as offset_after
    from moments
),

days as (
    select
        device_sn,
        local_date,
        case when count(step) >= 2 then percentile_disc(0.5) within group (order by step) end as usual_step,
        86400 + max(offset_before) - max(offset_after) as seconds
    from steps
    group by device_sn, local_date
),

numbered as (
    select
        *,
        sum(case when step > 3600 then 1 else 0 end) over (
            partition by device_sn, local_date order by timestamp_utc
            rows between unbounded preceding and current row
        ) as stretch
    from steps
)

select
    numbered.device_sn,
    numbered.local_date,
    max(numbered.device_name) as device_name,
    min(numbered.timestamp_utc) as first_reading_utc,
    max(numbered.timestamp_utc) as last_reading_utc,
    count(*) as moments,
    max(days.usual_step) as usual_step,
    max(days.seconds) as day_seconds,
    max(numbered.staged_at) as staged_at
from numbered
inner join days on days.device_sn = numbered.device_sn and days.local_date = numbered.local_date
group by numbered.device_sn, numbered.local_date, numbered.stretch
