{{ config(materialized='ephemeral') }}

with days as (
    select
        device_sn,
        local_date,
        max(device_name) as device_name,
        min(first_reading_utc) as first_reading_utc,
        max(last_reading_utc) as last_reading_utc,
        sum(moments) as moments,
        max(usual_step) as usual_step,
        max(day_seconds) as day_seconds
    from {{ ref('int_zentra__stretches') }}
    group by device_sn, local_date
),

inherited as (
    select
        *,
        -- A day that does not show its interval has that of the last day before it that does, or of the first one after it.
        coalesce(
            max(case when usual_step is not null then local_date end) over (
                partition by device_sn order by local_date rows between unbounded preceding and current row
            ),
            min(case when usual_step is not null then local_date end) over (partition by device_sn)
        ) as interval_date
    from days
)

select
    device_sn,
    local_date,
    device_name,
    first_reading_utc,
    last_reading_utc,
    moments,
    day_seconds,
    interval_date,
    coalesce(max(usual_step) over (partition by device_sn, interval_date), 86400) as interval_seconds
from inherited
