{{ config(**of_whole_days()) }}

{%- set hour = "date_trunc('hour', local_time)" -%}
{{ values_of({'hour_utc': dbt.dateadd('second', '-utc_offset', hour), 'local_hour': hour}, '3600') }}
