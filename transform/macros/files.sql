{#
    DuckDB reads the tap's tables from the files of target-jsonl: a view of each stream that has any.

    The files are in the folder that the environment variable ZENTRA_FILES names (`output` by default):
    `readings.jsonl`, and `readings-….jsonl` where each run has a file of its own. Files only grow, so of lines with the
    same key the last one counts.
#}

{% macro views_of_files() -%}
    {%- if target.type == 'duckdb' and execute -%}
        {%- if target.database == target.schema -%}
            {{ exceptions.raise_compiler_error(
                'DuckDB cannot tell the schema ' ~ target.schema ~ ' from a database file of the same name; let ZENTRA_DUCKDB name '
                ~ 'another file'
            ) }}
        {%- endif -%}
        {%- set found = [] -%}
        {%- for name, table in file_tables().items() -%}
            {%- set view = source('zentra', name) -%}
            {%- set files = files_of(name) -%}
            {%- do adapter.create_schema(view) -%}
            {%- if files -%}
                {%- do found.append(name) -%}
                {%- do run_query(view_of_files(view, files, table)) -%}
                {#- dbt has looked what there is before this hook. -#}
                {%- do adapter.cache_added(view.incorporate(type='view')) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if not found -%}
            {%- do exceptions.warn(
                'There is no file of target-jsonl in the folder ' ~ folder_of_files() ~ '. ZENTRA_FILES names another one.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro folder_of_files() -%}
    {{ return(env_var('ZENTRA_FILES', '') or 'output') }}
{%- endmacro %}


{# The files of a stream as SQL texts, the oldest first: their names have the moment. #}
{% macro files_of(name) -%}
    {%- set files = [] -%}
    {%- for pattern in [name ~ '.jsonl', name ~ '-*.jsonl'] -%}
        {%- set path = folder_of_files() ~ '/' ~ pattern -%}
        {%- for row in run_query('select file from glob(' ~ as_text(path) ~ ') order by file') -%}
            {%- do files.append(as_text(row[0])) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(files) }}
{%- endmacro %}


{% macro view_of_files(view, files, table) -%}
    create or replace view {{ view }} as
    select * exclude (line)
    from (
        select *, row_number() over () as line
        from read_json(
            [{{ files | join(', ') }}],
            format = 'newline_delimited',
            columns = {{ '{' }}{% for name, type in table.columns.items() %}{{ name }}: '{{ type }}'{{ ', ' if not loop.last }}{% endfor %}{{ '}' }}
        )
    )
    qualify row_number() over (partition by {{ table.key | join(', ') }} order by line desc) = 1
{%- endmacro %}


{# What the models need of each table. Columns that the user has left out are null. #}
{% macro file_tables() -%}
    {%- set text, whole, number, moment = 'VARCHAR', 'BIGINT', 'DOUBLE', 'TIMESTAMP' -%}
    {{ return({
        'readings': {
            'key': ['device_sn', 'mrid', 'timestamp_utc', 'port_number', 'measurement', 'sub_sensor_index'],
            'columns': {
                'device_sn': text, 'mrid': whole, 'timestamp_utc': moment, 'port_number': whole, 'measurement': text,
                'sub_sensor_index': whole, 'value': number, 'units': text, 'error_flag': 'BOOLEAN',
                'error_description': text, 'local_datetime': text, 'tz_offset': whole, 'device_name': text,
                'sensor_name': text, 'sensor_sn': text, 'depth': text,
            },
        },
        'readings_v5': {
            'key': ['device_sn', 'timestamp_utc', 'port_number', 'sensor_name', 'measurement', 'sub_sensor_index'],
            'columns': {
                'device_sn': text, 'timestamp_utc': moment, 'port_number': whole, 'sensor_name': text,
                'measurement': text, 'sub_sensor_index': whole, 'value': number, 'units': text, 'error_code': whole,
                'error_flag': 'BOOLEAN', 'error_description': text, 'local_datetime': text, 'device_name': text,
            },
        },
        'records': {
            'key': ['device_sn', 'mrid', 'timestamp_utc'],
            'columns': {
                'device_sn': text, 'mrid': whole, 'timestamp_utc': moment, 'local_datetime': text, 'tz_offset': whole,
                'device_name': text, 'readings': 'JSON[]',
            },
        },
        'records_v5': {
            'key': ['device_sn', 'timestamp_utc'],
            'columns': {
                'device_sn': text, 'timestamp_utc': moment, 'local_datetime': text, 'device_name': text,
                'readings': 'JSON[]',
            },
        },
        'devices': {
            'key': ['device_sn'],
            'columns': {
                'device_sn': text, 'device_name': text, 'outcome': text, 'error': text, 'last_mrid': whole,
                'synced_at': moment, 'model': text, 'location': text, 'latitude': number, 'longitude': number,
                'subscription_status': text, 'subscription_expires_at': moment,
            },
        },
        'env_model_data': {
            'key': ['device_sn', 'model_type', 'port_number', 'timestamp_utc'],
            'columns': {
                'device_sn': text, 'model_type': text, 'port_number': whole, 'timestamp_utc': moment,
                'value': number, 'units': text, 'tz_offset': whole,
            },
        },
    }) }}
{%- endmacro %}
