{{ config(materialized='view') }}

with seen as (
    select
        device_sn,
        min(first_reading_utc) as first_reading_utc,
        max(case when last_reading_utc <= {{ tomorrow() }} then last_reading_utc end) as last_reading_utc,
        max(last_reading_utc) as furthest_utc,
        max(case when last_reading_utc <= {{ tomorrow() }} then local_date end)
            as newest_date,
        sum(moments) as moments
    from {{ ref('int_zentra__days') }}
    group by device_sn
),

battery as (
    select
        daily.device_sn,
        max(case when daily.measurement = 'Battery Percent' then daily.value end) as battery_percent,
        max(
            case
                when daily.measurement = 'Battery Voltage'
                then daily.value / (case daily.units when 'mV' then 1000.0 else 1.0 end)
            end
        ) as battery_volts
    from {{ ref('zentra_daily') }} as daily
    inner join (
        select device_sn, measurement, max(local_date) as local_date
        from {{ ref('zentra_daily') }}
        where
            measurement in ('Battery Percent', 'Battery Voltage')
            and value is not null
            and last_reading_utc <= {{ tomorrow() }}
        group by device_sn, measurement
    ) as newest
        on newest.device_sn = daily.device_sn
        and newest.measurement = daily.measurement
        and newest.local_date = daily.local_date
    group by daily.device_sn
),

gaps as (
    select device_sn, count(*) as gaps, max(hours) as longest_gap_hours
    from {{ ref('int_zentra__gaps') }}
    group by device_sn
),

names as (
    select coalesce(told.device_sn, seen.device_sn) as device_sn
    from {{ ref('stg_zentra__devices') }} as told
    full outer join seen on seen.device_sn = told.device_sn
),

facts as (
    select
        names.device_sn,
        coalesce(told.device_name, days.device_name) as device_name,
        told.outcome,
        told.error,
        told.synced_at,
        seen.first_reading_utc,
        seen.last_reading_utc,
        {{ seconds_between('seen.last_reading_utc', now_utc()) }} / 3600.0 as hours_silent,
        days.interval_seconds,
        coalesce(seen.moments, 0) as moments,
        coalesce(gaps.gaps, 0) as gaps,
        gaps.longest_gap_hours,
        case
            when seen.furthest_utc > {{ tomorrow() }} then {{ seconds_between(now_utc(), 'seen.furthest_utc') }} / 3600.0
        end as hours_ahead,
        battery.battery_percent,
        battery.battery_volts,
        told.model,
        told.location,
        told.latitude,
        told.longitude,
        told.subscription_status,
        told.subscription_expires_at
    from names
    left join {{ ref('stg_zentra__devices') }} as told on told.device_sn = names.device_sn
    left join seen on seen.device_sn = names.device_sn
    left join {{ ref('int_zentra__days') }} as days
        on days.device_sn = seen.device_sn
        and days.local_date = seen.newest_date
    left join battery on battery.device_sn = names.device_sn
    left join gaps on gaps.device_sn = names.device_sn
)

select
    device_sn,
    device_name,
    case
        when outcome = 'failed' then 'failed'
        when hours_ahead is not null then 'clock ahead'
        when last_reading_utc is null or hours_silent > 24 then 'silent'
        else 'alive'
    end as status,
    error,
    synced_at,
    first_reading_utc,
    last_reading_utc,
    {{ rounded('hours_silent') }} as hours_silent,
    interval_seconds,
    moments,
    gaps,
    longest_gap_hours,
    {{ rounded('hours_ahead') }} as hours_ahead,
    {{ rounded('battery_percent') }} as battery_percent,
    {{ rounded('battery_volts') }} as battery_volts,
    model,
    location,
    latitude,
    longitude,
    subscription_status,
    subscription_expires_at
from facts
