{# The tables of the tap, of which a user has some, and of those not always all columns. #}

{# The table of a source, or none if there is no such table. #}
{% macro loaded(name) -%}
    {{ return(existing(source('zentra', name))) }}
{%- endmacro %}


{# The same relation if it is in the database, or none. #}
{% macro existing(relation) -%}
    {%- if execute -%}
        {{ return(adapter.get_relation(relation.database, relation.schema, relation.identifier)) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}


{# The names of a relation's columns, in lower case. #}
{% macro columns_of(relation) -%}
    {%- set names = [] -%}
    {%- if relation is not none -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do names.append(column.name | lower) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(names) }}
{%- endmacro %}


{# A column, or null where the user has left it out or the service has no such column. #}
{% macro column_or_null(columns, name, type) -%}
    cast({{ name if name in columns else 'null' }} as {{ type }})
{%- endmacro %}
