{%- set channel = ['device_sn', 'port_number', 'measurement', 'sub_sensor_index', 'sensor_name', 'sensor_sn', 'units'] %}
with days as (
    select
        device_sn,
        local_date,
        interval_seconds,
        max(last_reading_utc) over (partition by device_sn) as device_last_reading_utc,
        row_number() over (partition by device_sn order by local_date) as day_number
    from {{ ref('int_zentra__days') }}
),

there as (
    select
        {% for name in channel %}daily.{{ name }}, {% endfor %}
        daily.depth,
        daily.readings + daily.flagged as readings,
        daily.first_reading_utc,
        daily.last_reading_utc,
        days.device_last_reading_utc,
        days.interval_seconds,
        -- The same for days that follow each other among those of the device.
        days.day_number - row_number() over (
            partition by {% for name in channel %}daily.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
            order by daily.local_date
        ) as stay
    from {{ ref('zentra_daily') }} as daily
    inner join days
        on days.device_sn = daily.device_sn
        and days.local_date = daily.local_date
)

select
    {{ channel | join(', ') }},
    max(depth) as depth,
    min(first_reading_utc) as first_seen_utc,
    max(last_reading_utc) as last_seen_utc,
    sum(readings) as readings,
    {{ seconds_between('max(last_reading_utc)', 'max(device_last_reading_utc)') }}
        <= greatest(3600, coalesce(3 * max(interval_seconds), 3600)) as is_current
from there
group by {{ channel | join(', ') }}, stay
