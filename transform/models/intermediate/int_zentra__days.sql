{{ config(materialized='view') }}

with days as (
    select
        device_sn,
        local_date,
        min(first_reading_utc) as first_reading_utc,
        max(last_reading_utc) as last_reading_utc,
        sum(moments) as moments,
        max(usual_step) as usual_step,
        max(day_seconds) as day_seconds
    from {{ ref('int_zentra__stretches') }}
    group by device_sn, local_date
),

numbered as (
    select
        *,
        count(usual_step) over (
            partition by device_sn order by local_date rows between unbounded preceding and current row
        ) as known
    from days
)

select
    device_sn,
    local_date,
    first_reading_utc,
    last_reading_utc,
    moments,
    day_seconds,
    -- A day that does not show it has that of the day before.
    max(usual_step) over (partition by device_sn, known) as interval_seconds
from numbered
