{{ config(severity='warn') }}

select device_sn, status, hours_silent, error
from {{ ref('zentra_devices') }}
where status <> 'alive'
