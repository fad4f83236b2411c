{% macro last_line_wins(key) %}
WITH repeated AS (
    SELECT
        {{ key }},
        max(line_no) AS last_line_no
    FROM {{ this }}
    WHERE reason IS NULL
    GROUP BY {{ key }}
    HAVING count(*) > 1
)

UPDATE {{ this }} AS lines
SET reason = '{{ key }} superseded: a later line has the same {{ key }}'
FROM repeated
WHERE lines.{{ key }} = repeated.{{ key }} AND lines.reason IS NULL AND lines.line_no < repeated.last_line_no
{% endmacro %}
