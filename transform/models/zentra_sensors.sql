{%- set channel = ['device_sn', 'port_number', 'measurement', 'sub_sensor_index', 'sensor_name', 'sensor_sn', 'units'] %}
with days as (
    select
        device_sn,
        local_date,
        row_number() over (partition by device_sn order by local_date) as day_number
    from {{ ref('int_zentra__days') }}
),

newest as (
    select device_sn, max(last_reading_utc) as last_reading_utc, max(local_date) as local_date
    from {{ ref('int_zentra__days') }}
    where last_reading_utc <= {{ tomorrow() }}
    group by device_sn
),

devices as (
    select newest.device_sn, newest.last_reading_utc, days.interval_seconds
    from newest
    inner join {{ ref('int_zentra__days') }} as days
        on days.device_sn = newest.device_sn
        and days.local_date = newest.local_date
),

there as (
    select
        {% for name in channel %}daily.{{ name }}, {% endfor %}
        daily.depth,
        daily.readings + daily.flagged as readings,
        daily.first_reading_utc,
        daily.last_reading_utc,
        case when daily.last_reading_utc <= {{ tomorrow() }} then daily.last_reading_utc end as told_reading_utc,
        -- The same for days that follow each other among those of the device.
        days.day_number - row_number() over (
            partition by {% for name in channel %}daily.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
            order by daily.local_date
        ) as stay
    from {{ ref('zentra_daily') }} as daily
    inner join days
        on days.device_sn = daily.device_sn
        and days.local_date = daily.local_date
),

stays as (
    select
        {{ channel | join(', ') }},
        max(depth) as depth,
        min(first_reading_utc) as first_seen_utc,
        max(last_reading_utc) as last_seen_utc,
        sum(readings) as readings,
        max(told_reading_utc) as told_reading_utc
    from there
    group by {{ channel | join(', ') }}, stay
)

select
    {% for name in channel %}stays.{{ name }}, {% endfor %}
    stays.depth,
    stays.first_seen_utc,
    stays.last_seen_utc,
    stays.readings,
    coalesce(
        {{ seconds_between('stays.told_reading_utc', 'devices.last_reading_utc') }}
        <= greatest(3600, 3 * devices.interval_seconds),
        false
    ) as is_current
from stays
left join devices on devices.device_sn = stays.device_sn
