-- staging.payments: every line of this delivery's payments, typed where it can be, with its verdict.
-- Grain: one row per line of payment_data, and per row that waited for its order or its day (line_no below 0).
-- Reads: raw.payment_data, audit.waiting_rows, sources, staging.orders, core.orders, payments, forgotten_customers
-- Write: rebuilt.

DROP TABLE IF EXISTS staging.payments;

CREATE UNLOGGED TABLE staging.payments AS
WITH received AS (
    SELECT
        payment_data.line_no,
        payment_data.payment_id,
        payment_data.customer_id,
        payment_data.order_id,
        payment_data.payment_date,
        payment_data.amount
    FROM raw.payment_data
    UNION ALL
    SELECT
        -waiting_rows.rejected_row_id AS line_no,
        waiting_rows.fields ->> 'payment_id' AS payment_id,
        waiting_rows.fields ->> 'customer_id' AS customer_id,
        waiting_rows.fields ->> 'order_id' AS order_id,
        waiting_rows.fields ->> 'payment_date' AS payment_date,
        waiting_rows.fields ->> 'amount' AS amount
    FROM audit.waiting_rows
    WHERE waiting_rows.source = 'payment_data'
),

typed AS (
    SELECT
        received.line_no,
        received.payment_id AS payment_id_received,
        received.customer_id AS customer_id_received,
        received.order_id AS order_id_received,
        received.payment_date AS payment_date_received,
        received.amount AS amount_received,
        audit.to_id(received.payment_id, unknown.tokens, unknown.numerals) AS payment_id,
        audit.to_id(received.customer_id, unknown.tokens, unknown.numerals) AS customer_id,
        audit.to_id(received.order_id, unknown.tokens, unknown.numerals) AS order_id,
        audit.to_day(received.payment_date, unknown.tokens, unknown.numerals) AS payment_date,
        audit.to_amount(received.amount, unknown.tokens, unknown.numerals) AS amount,
        unknown.tokens
    FROM received
    CROSS JOIN audit.unknown_values('payment_data') AS unknown
    -- a fence: each field is typed once, however often it is looked at below;
    -- '0' is a bigint from the start, a plain 0 would make everything above it serial
    OFFSET '0' -- noqa: AM09
),

judged AS (
    SELECT
        line_no,
        payment_id,
        customer_id,
        order_id,
        payment_date,
        amount,
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
                        line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('payment_data') AS swallowed)
                        OR audit.any_swallowed_a_line(
                            'payment_data', payment_id_received, customer_id_received, order_id_received,
                            payment_date_received, amount_received
                        )
                        THEN 'line swallowed_a_line: a quote was opened and closed lines later'
                    ELSE 'customer_id forgotten: this customer was erased'
                END
            WHEN line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('payment_data') AS swallowed)
                THEN 'line swallowed_a_line: a quote was opened and closed lines later'
            WHEN payment_id IS NULL AND audit.cleaned(payment_id_received, tokens) IS NULL
                THEN 'payment_id missing: a payment needs a number'
            WHEN payment_id IS NULL AND lower(audit.cleaned(payment_id_received, tokens)) = 'payment_id'
                THEN 'payment_id repeated_header: the header stands here again'
            WHEN payment_id IS NULL
                THEN 'payment_id not_a_whole_number: digits only, no leading zero'
            WHEN customer_id IS NULL AND audit.cleaned(customer_id_received, tokens) IS NULL
                THEN 'customer_id missing: a payment needs its customer'
            WHEN customer_id IS NULL
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN order_id IS NULL AND audit.cleaned(order_id_received, tokens) IS NULL
                THEN 'order_id missing: a payment needs its order'
            WHEN order_id IS NULL
                THEN 'order_id not_a_whole_number: digits only, no leading zero'
            WHEN payment_date IS NULL AND audit.cleaned(payment_date_received, tokens) IS NULL
                THEN 'payment_date missing: a payment needs a day'
            WHEN payment_date IS NULL
                THEN 'payment_date not_a_day: YYYY-MM-DD'
            WHEN amount IS NULL AND audit.cleaned(amount_received, tokens) IS NULL
                THEN 'amount missing: a payment needs an amount'
            WHEN amount IS NULL
                THEN 'amount not_an_amount: digits and at most two decimals, no separators, below 1000000000000'
            WHEN payment_date < '1900-01-01'
                THEN 'payment_date too_early: before 1900'
            WHEN payment_date > (SELECT audit.as_of())
                THEN 'payment_date waits: it lies after the as-of date'
        END AS reason
    FROM typed
    -- a fence: without it the CASE is evaluated again for every column below
    OFFSET '0' -- noqa: AM09
)

SELECT
    judged.line_no,
    -- A snapshot must not drop a payment whose line was refused: the key stays where it can be read.
    judged.payment_id,
    CASE WHEN judged.reason IS NULL THEN judged.customer_id END AS customer_id,
    CASE WHEN judged.reason IS NULL THEN judged.order_id END AS order_id,
    CASE WHEN judged.reason IS NULL THEN judged.payment_date END AS payment_date,
    CASE WHEN judged.reason IS NULL THEN judged.amount::numeric(14, 2) END AS amount,
    CASE
        WHEN judged.reason IS NOT NULL
            THEN judged.reason
        WHEN coalesce(delivered.customer_id, kept.customer_id) IS NULL
            THEN 'order_id waits: its order has not arrived'
        WHEN coalesce(delivered.customer_id, kept.customer_id) = judged.customer_id
            THEN NULL
        WHEN moving.order_id IS NOT NULL
            THEN 'order_id waits: its order waits to move to this customer'
        ELSE 'customer_id disagrees: the order belongs to another customer'
    END AS reason,
    -- Of a snapshot most lines say what core knows: it need not look for them again.
    coalesce(
        same.customer_id = judged.customer_id
        AND same.order_id = judged.order_id
        AND same.payment_date = judged.payment_date
        AND same.amount = judged.amount,
        false
    ) AS is_kept
FROM judged
LEFT JOIN staging.orders AS delivered
    ON judged.order_id = delivered.order_id AND delivered.reason IS NULL
LEFT JOIN core.known_orders('payment_data') AS kept ON judged.order_id = kept.order_id
LEFT JOIN staging.orders AS moving
    ON
        judged.order_id = moving.order_id
        AND judged.customer_id = moving.customer_id
        AND moving.reason LIKE '% waits:%'
LEFT JOIN core.known_payments('payment_data') AS same ON judged.payment_id = same.payment_id;

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashagg = off;

-- The last line that carries a key wins; one that waits does not hold back the one before it.
WITH repeated AS (
    SELECT
        payment_id,
        max(audit.arrived(line_no)) AS last_arrived,
        max(audit.arrived(line_no)) FILTER (WHERE reason IS NULL) AS last_good_arrived
    FROM staging.payments
    WHERE reason IS NULL OR reason LIKE '% waits:%'
    GROUP BY payment_id
    HAVING count(*) > 1
)

UPDATE staging.payments
SET reason = 'payment_id superseded: a later line has the same payment_id'
FROM repeated
WHERE
    payments.payment_id = repeated.payment_id
    AND (
        (payments.reason IS NULL AND audit.arrived(payments.line_no) < repeated.last_good_arrived)
        OR (payments.reason LIKE '% waits:%' AND audit.arrived(payments.line_no) < repeated.last_arrived)
    );

SET LOCAL enable_hashagg TO DEFAULT;

ANALYZE staging.payments;

SELECT audit.record_lines('payment_data');
