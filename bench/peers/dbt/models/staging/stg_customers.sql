{{ config(post_hook=["{{ last_line_wins('customer_id') }}", "ANALYZE {{ this }}"]) }}

WITH cleaned AS (
    SELECT
        line_no,
        {{ cleaned('customer_id') }} AS customer_id,
        {{ cleaned('first_name') }} AS first_name,
        {{ cleaned('last_name') }} AS last_name,
        lower({{ cleaned('email') }}) AS email,
        {{ cleaned('country') }} AS country,
        {{ cleaned('gender') }} AS gender,
        {{ cleaned('date_of_birth') }} AS date_of_birth
    FROM {{ source('raw', 'customer_data') }}
    -- a fence: each field is cleaned once
    OFFSET '0'
),

judged AS (
    SELECT
        *,
        CASE
            WHEN customer_id IS NULL
                THEN 'customer_id missing: a customer needs a number'
            WHEN NOT {{ is_id('customer_id') }}
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            {% for text in ['first_name', 'last_name', 'email', 'country', 'gender'] -%}
            WHEN {{ swallowed_a_line(text) }}
                THEN '{{ text }} swallowed_a_line: a quote was opened and closed lines later'
            {% endfor -%}
            WHEN email NOT LIKE '_%@%_'
                THEN 'email not_an_address: something@somewhere'
            WHEN date_of_birth IS NOT NULL AND NOT {{ is_day('date_of_birth') }}
                THEN 'date_of_birth not_a_day: YYYY-MM-DD'
            WHEN date_of_birth::date < '1900-01-01'
                THEN 'date_of_birth too_early: before 1900'
            WHEN date_of_birth::date > {{ as_of() }}
                THEN 'date_of_birth in_the_future: after the as-of date'
        END AS reason
    FROM cleaned
    -- a fence: the CASE is evaluated once
    OFFSET '0'
)

SELECT
    line_no,
    CASE WHEN reason IS NULL THEN customer_id::bigint END AS customer_id,
    first_name,
    last_name,
    email,
    country,
    gender,
    CASE WHEN reason IS NULL THEN date_of_birth::date END AS date_of_birth,
    reason
FROM judged
