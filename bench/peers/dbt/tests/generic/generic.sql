{% test not_empty(model) %}
SELECT 1 AS is_empty WHERE NOT EXISTS (SELECT FROM {{ model }})
{% endtest %}

{% test not_negative(model, column_name) %}
SELECT * FROM {{ model }} WHERE ({{ column_name }} >= 0) IS NOT true
{% endtest %}

{% test every_line_accounted_for(model, raw) %}
SELECT
    received.lines AS received,
    staged.lines AS staged
FROM (SELECT count(*) AS lines FROM {{ raw }}) AS received
CROSS JOIN (SELECT count(*) AS lines FROM {{ model }}) AS staged
WHERE received.lines <> staged.lines
{% endtest %}

{% test rejects_within_limit(model) %}
SELECT count(*) AS lines
FROM {{ model }}
HAVING count(*) FILTER (WHERE reason NOT LIKE '% superseded:%') > {{ var('max_reject_share') }} * count(*)
{% endtest %}

{% test text_readable(model, columns) %}
{{ config(severity='warn') }}
SELECT * FROM {{ model }} WHERE reason IS NULL AND {{ is_mojibake("concat_ws(' ', " ~ columns | join(', ') ~ ")") }}
{% endtest %}

{% test holds_what_was_delivered(model, delivered, columns) %}
SELECT delivered.{{ columns[0] }}
FROM {{ delivered }} AS delivered
LEFT JOIN {{ model }} AS kept ON delivered.{{ columns[0] }} = kept.{{ columns[0] }}
WHERE
    delivered.reason IS NULL
    AND (kept.{{ columns | join(', kept.') }}) IS DISTINCT FROM (delivered.{{ columns | join(', delivered.') }})
{% endtest %}
