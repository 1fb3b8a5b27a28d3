{#
    The columns of `zentra_readings_wide`: one for each port, measurement and index of `zentra_sensors`.

    Returns:
        A list of objects with `name`, `port_number`, `measurement` and `sub_sensor_index`.
#}
{% macro wide_columns() -%}
    {%- set columns = [] -%}
    {%- set sensors = existing(ref('zentra_sensors')) -%}
    {%- if sensors is none -%}
        {{ return(columns) }}
    {%- endif -%}
    {%- set query -%}
        select distinct port_number, measurement, sub_sensor_index
        from {{ sensors }}
        order by port_number, measurement, sub_sensor_index
    {%- endset -%}
    {%- set taken = [] -%}
    {%- for row in run_query(query) -%}
        {%- set name = wide_column(row[0], row[1], row[2]) -%}
        {#- Two measurements may differ in signs alone, which no name has, or behind what fits into a name. -#}
        {%- if name in taken or name | length > 63 -%}
            {%- set name = name[:56] ~ '_' ~ local_md5(row[1] ~ name)[:6] -%}
        {%- endif -%}
        {%- do taken.append(name) -%}
        {%- do columns.append({
            'name': name, 'port_number': row[0], 'measurement': row[1], 'sub_sensor_index': row[2]
        }) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{% macro wide_column(port_number, measurement, sub_sensor_index) -%}
    {%- set measured = modules.re.sub('[^a-z0-9]+', '_', measurement | lower).strip('_') -%}
    {%- set place = 'device' if port_number | int == -1 else 'port' ~ port_number | int -%}
    {{ return(place ~ '_' ~ measured ~ ('_' ~ sub_sensor_index | int if sub_sensor_index | int != 0 else '')) }}
{%- endmacro %}
