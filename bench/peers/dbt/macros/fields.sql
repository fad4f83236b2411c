{# What a field may be: the same conditions as the functions audit.cleaned, is_id, is_day, is_amount … #}

{% macro blanks() %}E' \t\r\n\f\u000B\u00A0\uFEFF'{% endmacro %}

{% macro cleaned(field) %}
        CASE
            WHEN
                octet_length({{ field }}) > {{ var('null_tokens') | map('length') | max }}
                AND ascii({{ field }}) BETWEEN 33 AND 126
                AND ascii(right({{ field }}, 1)) BETWEEN 33 AND 126
                THEN {{ field }}
            WHEN
                upper(btrim({{ field }}, {{ blanks() }})) IN ('{{ var('null_tokens') | join("', '") }}')
                THEN NULL
            ELSE btrim({{ field }}, {{ blanks() }})
        END
{%- endmacro %}

{% macro is_id(field) -%}
CASE
                WHEN pg_input_is_valid({{ field }}, 'bigint')
                    THEN {{ field }}::bigint::text = {{ field }} AND {{ field }}::bigint > 0
                ELSE false
            END
{%- endmacro %}

{% macro is_day(field) -%}
CASE
                WHEN {{ field }} LIKE '____-__-__' AND pg_input_is_valid({{ field }}, 'date')
                    THEN {{ field }}::date::text = {{ field }}
                ELSE false
            END
{%- endmacro %}

{% macro is_amount(field) -%}
(
                {{ field }} NOT LIKE '%.___%'
                AND upper({{ field }}) = lower({{ field }})
                AND strpos({{ field }}, '_') = 0
                AND pg_input_is_valid({{ field }}, 'numeric(14,2)')
            )
{%- endmacro %}

{% macro swallowed_a_line(field) -%}
{{ field }} LIKE E'%\n%' AND {{ field }} ~ E'\n.*[,;|\t]'
{%- endmacro %}

{% macro is_mojibake(field) -%}
(
    octet_length({{ field }}) <> length({{ field }})
    AND {{ field }} ~ E'[\u00C2\u00C3][\u0080-\u00BF\u0152-\u017E\u2013-\u2122]|\u00E2\u20AC|\uFFFD'
)
{%- endmacro %}
