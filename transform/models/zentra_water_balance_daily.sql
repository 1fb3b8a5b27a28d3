{%- set stations = loaded('env_model_data') %}

with evaporated as (
    {%- if stations is not none %}
    select
        device_sn,
        cast(port_number as integer) as port_number,
        cast({{ dbt.dateadd('second', 'coalesce(tz_offset, 0)', 'timestamp_utc') }} as date) as local_date,
        max({{ millimetres('cast(value as double precision)', 'units') }}) as eto_mm
    from {{ stations }}
    where model_type = 'ETo'
    group by 1, 2, 3
    {%- else %}
    select
        cast(null as varchar) as device_sn,
        cast(null as integer) as port_number,
        cast(null as date) as local_date,
        cast(null as double precision) as eto_mm
    where false
    {%- endif %}
),

rained as (
    select
        device_sn,
        port_number,
        local_date,
        sum({{ millimetres('value', 'units') }}) as rain_mm,
        {{ at_most_one('sum(share)') }} as share
    from {{ ref('zentra_daily') }}
    where measurement = 'Precipitation'
    group by device_sn, port_number, local_date
)

select
    evaporated.device_sn,
    evaporated.port_number,
    evaporated.local_date,
    {{ rounded('rained.rain_mm') }} as rain_mm,
    {{ rounded('evaporated.eto_mm') }} as eto_mm,
    {{ rounded('rained.rain_mm - evaporated.eto_mm') }} as balance_mm,
    {{ rounded('rained.share') }} as share
from evaporated
left join rained
    on rained.device_sn = evaporated.device_sn
    and rained.port_number = evaporated.port_number
    and rained.local_date = evaporated.local_date
