-- staging.customers: every line of this delivery's customers, typed where it can be, with its verdict.
-- Grain: one row per line of customer_data, and per row that was corrected by hand (line_no below 0).
-- Reads: raw.customer_data, audit.waiting_rows, audit.sources, core.forgotten_customers
-- Write: rebuilt.

DROP TABLE IF EXISTS staging.customers;

CREATE UNLOGGED TABLE staging.customers AS
WITH received AS (
    SELECT
        customer_data.line_no,
        customer_data.customer_id,
        customer_data.first_name,
        customer_data.last_name,
        customer_data.email,
        customer_data.country,
        customer_data.gender,
        customer_data.date_of_birth
    FROM raw.customer_data
    UNION ALL
    SELECT
        -waiting_rows.rejected_row_id AS line_no,
        waiting_rows.fields ->> 'customer_id' AS customer_id,
        waiting_rows.fields ->> 'first_name' AS first_name,
        waiting_rows.fields ->> 'last_name' AS last_name,
        waiting_rows.fields ->> 'email' AS email,
        waiting_rows.fields ->> 'country' AS country,
        waiting_rows.fields ->> 'gender' AS gender,
        waiting_rows.fields ->> 'date_of_birth' AS date_of_birth
    FROM audit.waiting_rows
    WHERE waiting_rows.source = 'customer_data'
),

typed AS (
    SELECT
        received.line_no,
        received.customer_id AS customer_id_received,
        received.date_of_birth AS date_of_birth_received,
        audit.to_id(received.customer_id, unknown.tokens, unknown.numerals) AS customer_id,
        audit.cleaned(received.first_name, unknown.tokens) AS first_name,
        audit.cleaned(received.last_name, unknown.tokens) AS last_name,
        lower(audit.cleaned(received.email, unknown.tokens)) AS email,
        audit.cleaned(received.country, unknown.tokens) AS country,
        audit.cleaned(received.gender, unknown.tokens) AS gender,
        audit.to_day(received.date_of_birth, unknown.tokens, unknown.numerals) AS date_of_birth,
        unknown.tokens
    FROM received
    CROSS JOIN audit.unknown_values('customer_data') AS unknown
    -- a fence: each field is typed once, however often it is looked at below;
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
            WHEN
                customer_id IN (SELECT forgotten_customers.customer_id FROM core.forgotten_customers)
                -- 007 and 7.0 are no numbers here, and name the customer all the same.
                OR (
                    customer_id IS NULL
                    AND audit.number_of(customer_id_received) IN (
                        SELECT forgotten_customers.customer_id FROM core.forgotten_customers
                    )
                )
                THEN CASE
                    -- The lines of others that it has swallowed are not forgotten with it.
                    WHEN
                        line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('customer_data') AS swallowed)
                        OR audit.any_swallowed_a_line(
                            'customer_data', customer_id_received, first_name, last_name, email,
                            country, gender, date_of_birth_received
                        )
                        THEN 'line swallowed_a_line: a quote was opened and closed lines later'
                    ELSE 'customer_id forgotten: this customer was erased'
                END
            WHEN line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('customer_data') AS swallowed)
                THEN 'line swallowed_a_line: a quote was opened and closed lines later'
            WHEN customer_id IS NULL AND audit.cleaned(customer_id_received, tokens) IS NULL
                THEN 'customer_id missing: a customer needs a number'
            WHEN customer_id IS NULL AND lower(audit.cleaned(customer_id_received, tokens)) = 'customer_id'
                THEN 'customer_id repeated_header: the header stands here again'
            WHEN customer_id IS NULL
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN audit.swallowed_a_line(first_name, 'customer_data')
                THEN 'first_name swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(last_name, 'customer_data')
                THEN 'last_name swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(email, 'customer_data')
                THEN 'email swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(country, 'customer_data')
                THEN 'country swallowed_a_line: a quote was opened and closed lines later'
            WHEN audit.swallowed_a_line(gender, 'customer_data')
                THEN 'gender swallowed_a_line: a quote was opened and closed lines later'
            WHEN email NOT LIKE '_%@%_'
                THEN 'email not_an_address: something@somewhere'
            WHEN date_of_birth IS NULL AND audit.cleaned(date_of_birth_received, tokens) IS NOT NULL
                THEN 'date_of_birth not_a_day: YYYY-MM-DD'
            WHEN date_of_birth < '1900-01-01'
                THEN 'date_of_birth too_early: before 1900'
            WHEN date_of_birth > (SELECT audit.as_of())
                THEN 'date_of_birth in_the_future: after the as-of date'
        END AS reason
    FROM typed
    -- a fence: without it the CASE is evaluated again for every column below
    OFFSET '0' -- noqa: AM09
)

SELECT
    line_no,
    -- A snapshot must not drop a customer whose line was refused: the key stays where it can be read.
    customer_id,
    -- Nothing is kept of a customer who was erased, whose line another may have swallowed.
    CASE WHEN reason IS NULL OR reason !~ ' (forgotten|swallowed_a_line):' THEN first_name END AS first_name,
    CASE WHEN reason IS NULL OR reason !~ ' (forgotten|swallowed_a_line):' THEN last_name END AS last_name,
    CASE WHEN reason IS NULL OR reason !~ ' (forgotten|swallowed_a_line):' THEN email END AS email,
    CASE WHEN reason IS NULL OR reason !~ ' (forgotten|swallowed_a_line):' THEN country END AS country,
    CASE WHEN reason IS NULL OR reason !~ ' (forgotten|swallowed_a_line):' THEN gender END AS gender,
    CASE WHEN reason IS NULL THEN date_of_birth END AS date_of_birth,
    reason
FROM judged;

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashagg = off;

-- The last line that carries a key wins.
WITH repeated AS (
    SELECT
        customer_id,
        max(audit.arrived(line_no)) AS last_arrived
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
    AND audit.arrived(customers.line_no) < repeated.last_arrived;

SET LOCAL enable_hashagg TO DEFAULT;

ANALYZE staging.customers;

SELECT audit.record_lines('customer_data');
