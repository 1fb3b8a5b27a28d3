{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['device_sn', 'local_date'],
    indexes=[{'columns': ['device_sn', 'local_date']}, {'columns': ['staged_at']}] if target.type == 'postgres' else [],
    post_hook=gather_statistics(),
) }}

{%- set local_hour = "date_trunc('hour', local_time)" -%}
{%- set period -%}
{{ dbt.dateadd('second', '-utc_offset', local_hour) }} as hour_utc,
        {{ local_hour }} as local_hour,
{%- endset %}

{{ aggregated(period, ['hour_utc', 'local_hour']) }}
{{ came('grouped.readings + grouped.flagged', '3600', 'days.interval_seconds') }}
    grouped.first_reading_utc,
    grouped.last_reading_utc,
    grouped.staged_at
from grouped
inner join {{ ref('int_zentra__days') }} as days
    on days.device_sn = grouped.device_sn
    and days.local_date = grouped.local_date
