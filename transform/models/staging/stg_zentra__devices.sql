{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='device_sn') }}

{%- set devices = loaded('devices') -%}
{%- set columns = columns_of(devices) -%}
{%- set told = {
    'device_name': 'varchar',
    'outcome': 'varchar',
    'error': 'varchar',
    'synced_at': 'timestamp',
    'model': 'varchar',
    'location': 'varchar',
    'latitude': 'double precision',
    'longitude': 'double precision',
    'subscription_status': 'varchar',
    'subscription_expires_at': 'timestamp',
} %}

select
    {{ 'device_sn' if devices is not none else 'cast(null as varchar) as device_sn' }}
    {%- for name, type in told.items() %},
    {{ column_or_null(columns, name, type) }} as {{ name }}
    {%- endfor %}
{% if devices is not none %}from {{ devices }}{% else %}where false{% endif %}
