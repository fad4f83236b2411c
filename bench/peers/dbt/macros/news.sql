{# From the environment: another day in --vars would make dbt parse the whole project again. #}
{% macro as_of() %}'{{ env_var('LTV_AS_OF') }}'::date{% endmacro %}

{# Of a delivery, the good lines that the kept table does not hold as they are. #}
{% macro news(delivered, key, columns) %}
SELECT
    delivered.{{ ([key] + columns) | join(',\n    delivered.') }}
FROM {{ delivered }} AS delivered
{%- if is_incremental() %}
LEFT JOIN {{ this }} AS kept ON delivered.{{ key }} = kept.{{ key }}
WHERE
    delivered.reason IS NULL
    AND (
        kept.{{ key }} IS NULL
        OR (kept.{{ columns | join(', kept.') }}) IS DISTINCT FROM (delivered.{{ columns | join(', delivered.') }})
    )
{%- else %}
WHERE delivered.reason IS NULL
{%- endif %}
{% endmacro %}
