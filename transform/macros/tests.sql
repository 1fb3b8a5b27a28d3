{#
    `new` in a test's `where` stands for the rows that this run has brought, so that an hourly `dbt build` does not read years
    to test an hour. `dbt test` tests all rows, and so does a full build.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set new = 'true' if flags.WHICH == 'test' else 'staged_at >= ' ~ run_began() -%}
    (select * from {{ relation }} where {{ modules.re.sub('\\bnew\\b', new, where) }}) as tested
{%- endmacro %}
