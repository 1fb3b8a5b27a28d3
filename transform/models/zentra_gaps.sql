{{ config(materialized='view') }}

select * from {{ ref('int_zentra__gaps') }}
