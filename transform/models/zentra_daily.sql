{{ config(**of_whole_days()) }}

{{ values_of({}, 'days.day_seconds') }}
