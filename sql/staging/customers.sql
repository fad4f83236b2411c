-- staging.customers: every line of this delivery's customers, typed where it can be, with its verdict.
-- Grain: one row per line of customer_data.
-- Reads: raw.customer_data, audit.sources
-- Write: rebuilt.

DROP TABLE IF EXISTS staging.customers;

CREATE UNLOGGED TABLE staging.customers AS
WITH cleaned AS (
    SELECT
        customer_data.line_no,
        audit.cleaned(customer_data.customer_id, (SELECT audit.null_tokens('customer_data'))) AS customer_id,
        audit.cleaned(customer_data.first_name, (SELECT audit.null_tokens('customer_data'))) AS first_name,
        audit.cleaned(customer_data.last_name, (SELECT audit.null_tokens('customer_data'))) AS last_name,
        lower(audit.cleaned(customer_data.email, (SELECT audit.null_tokens('customer_data')))) AS email,
        audit.cleaned(customer_data.country, (SELECT audit.null_tokens('customer_data'))) AS country,
        audit.cleaned(customer_data.gender, (SELECT audit.null_tokens('customer_data'))) AS gender,
        audit.cleaned(customer_data.date_of_birth, (SELECT audit.null_tokens('customer_data'))) AS date_of_birth
    FROM raw.customer_data
    -- a fence: each field is cleaned once, however often it is looked at below;
    -- '0' is a bigint from the start, a plain 0 would make everything above it serial
    OFFSET '0' -- noqa: AM09
),

judged AS (
    SELECT
        line_no,
        customer_id,
        first_name,
        last_name,
        email,
        country,
        gender,
        date_of_birth,
        CASE
            WHEN customer_id IS NULL
                THEN 'customer_id missing: a customer needs a number'
            WHEN NOT audit.is_id(customer_id)
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN audit.swallowed_a_line(first_name)
                THEN 'first_name swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(last_name)
                THEN 'last_name swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(email)
                THEN 'email swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(country)
                THEN 'country swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(gender)
                THEN 'gender swallowed_a_line: a quote was opened and closed lines later'
            WHEN email NOT LIKE '_%@%_'
                THEN 'email not_an_address: something@somewhere'
            WHEN date_of_birth IS NOT NULL AND NOT audit.is_day(date_of_birth)
                THEN 'date_of_birth not_a_day: YYYY-MM-DD'
            WHEN date_of_birth::date < '1900-01-01'
                THEN 'date_of_birth too_early: before 1900'
            WHEN date_of_birth::date > (SELECT audit.as_of())
                THEN 'date_of_birth in_the_future: after the as-of date'
        END AS reason
    FROM cleaned
    -- a fence: without it the CASE is evaluated again for every column below
    OFFSET '0' -- noqa: AM09
)

SELECT
    line_no,
    -- A snapshot must not drop a customer whose line was refused: the key stays where it can be read.
    CASE WHEN reason IS NULL OR audit.is_id(customer_id) THEN customer_id::bigint END AS customer_id,
    first_name,
    last_name,
    email,
    country,
    gender,
    CASE WHEN reason IS NULL THEN date_of_birth::date END AS date_of_birth,
    reason
FROM judged;

-- The last line that carries a key wins.
WITH repeated AS (
    SELECT
        customer_id,
        max(line_no) AS last_line_no
    FROM staging.customers
    WHERE reason IS NULL
    GROUP BY customer_id
    HAVING count(*) > 1
)

UPDATE staging.customers
SET reason = 'customer_id superseded: a later line has the same customer_id'
FROM repeated
WHERE
    customers.customer_id = repeated.customer_id
    AND customers.reason IS NULL
    AND customers.line_no < repeated.last_line_no;

ANALYZE staging.customers;

SELECT audit.record_lines('customer_data');
