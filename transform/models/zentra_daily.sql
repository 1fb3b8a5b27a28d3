{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['device_sn', 'local_date'],
    indexes=[{'columns': ['device_sn', 'local_date']}, {'columns': ['staged_at']}] if target.type == 'postgres' else [],
    pre_hook=allow_memory(),
    post_hook=gather_statistics(),
) }}

{{ values_of({}, 'days.day_seconds') }}
