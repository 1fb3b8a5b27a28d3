{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['device_sn', 'local_date'],
    indexes=[{'columns': ['device_sn', 'local_date']}, {'columns': ['staged_at']}] if target.type == 'postgres' else [],
    pre_hook=allow_memory(),
    post_hook=gather_statistics(),
) }}

{%- set hour = "date_trunc('hour', local_time)" -%}
{{ values_of({'hour_utc': dbt.dateadd('second', '-utc_offset', hour), 'local_hour': hour}, '3600') }}
