{{ config(materialized='ephemeral') }}

with stretches as (
    select
        device_sn,
        local_date,
        -- The days of a device that is moved to another time zone may overlap.
        max(last_reading_utc) over (
            partition by device_sn order by first_reading_utc rows between unbounded preceding and current row
        ) as last_reading_utc,
        lead(first_reading_utc) over (partition by device_sn order by first_reading_utc) as next_reading_utc
    from {{ ref('int_zentra__stretches') }}
    -- A clock that is ahead makes no gap.
    where first_reading_utc <= {{ tomorrow() }}
),

between_two as (
    select
        stretches.device_sn,
        stretches.last_reading_utc,
        stretches.next_reading_utc,
        days.interval_seconds,
        {{ seconds_between(
            'stretches.last_reading_utc', 'coalesce(stretches.next_reading_utc, ' ~ now_utc() ~ ')'
        ) }} as seconds
    from stretches
    inner join {{ ref('int_zentra__days') }} as days
        on days.device_sn = stretches.device_sn
        and days.local_date = stretches.local_date
)

select
    device_sn,
    last_reading_utc,
    next_reading_utc,
    {{ rounded('seconds / 3600.0') }} as hours,
    cast(round(cast(seconds as double precision) / interval_seconds) as integer) - 1 as missing,
    next_reading_utc is null as is_open
from between_two
where seconds > greatest(
    -- Devices do not upload after each reading.
    case when next_reading_utc is null then 24 * 3600 else 3600 end,
    3 * interval_seconds
)
