-- staging.orders: every line of this delivery's orders, typed where it can be, with its verdict.
-- Grain: one row per line of order_data, and per row that waited for its customer or its day (line_no below 0).
-- Reads: raw.order_data, audit.waiting_rows, audit.sources, staging.customers, core.customers, core.forgotten_customers
-- Write: rebuilt.

DROP TABLE IF EXISTS staging.orders;

CREATE UNLOGGED TABLE staging.orders AS
WITH received AS (
    SELECT
        order_data.line_no,
        order_data.order_id,
        order_data.customer_id,
        order_data.order_date,
        order_data.product,
        order_data.price
    FROM raw.order_data
    UNION ALL
    SELECT
        -waiting_rows.rejected_row_id AS line_no,
        waiting_rows.fields ->> 'order_id' AS order_id,
        waiting_rows.fields ->> 'customer_id' AS customer_id,
        waiting_rows.fields ->> 'order_date' AS order_date,
        waiting_rows.fields ->> 'product' AS product,
        waiting_rows.fields ->> 'price' AS price
    FROM audit.waiting_rows
    WHERE waiting_rows.source = 'order_data'
),

cleaned AS (
    SELECT
        received.line_no,
        audit.cleaned(received.order_id, unknown.tokens) AS order_id,
        audit.cleaned(received.customer_id, unknown.tokens) AS customer_id,
        audit.cleaned(received.order_date, unknown.tokens) AS order_date,
        audit.cleaned(received.product, unknown.tokens) AS product,
        audit.cleaned(received.price, unknown.tokens) AS price
    FROM received
    CROSS JOIN audit.null_tokens('order_data') AS unknown (tokens)
    -- a fence: each field is cleaned once, however often it is looked at below;
    -- '0' is a bigint from the start, a plain 0 would make everything above it serial
    OFFSET '0' -- noqa: AM09
),

judged AS (
    SELECT
        line_no,
        order_id,
        customer_id,
        order_date,
        product,
        price,
        CASE
            WHEN customer_id IN (SELECT forgotten_customers.customer_id::text FROM core.forgotten_customers)
                THEN 'customer_id forgotten: this customer was erased'
            WHEN order_id IS NULL
                THEN 'order_id missing: an order needs a number'
            WHEN NOT audit.is_id(order_id)
                THEN CASE lower(order_id)
                    WHEN 'order_id' THEN 'order_id repeated_header: the header stands here again'
                    ELSE 'order_id not_a_whole_number: digits only, no leading zero'
                END
            WHEN customer_id IS NULL
                THEN 'customer_id missing: an order needs its customer'
            WHEN NOT audit.is_id(customer_id)
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN order_date IS NULL
                THEN 'order_date missing: an order needs a day'
            WHEN NOT audit.is_day(order_date)
                THEN 'order_date not_a_day: YYYY-MM-DD'
            WHEN audit.swallowed_a_line(product)
                THEN 'product swallowed_a_line: a quote was opened and closed lines later'
            WHEN price IS NULL
                THEN 'price missing: an order needs a price'
            WHEN NOT audit.is_amount(price)
                THEN 'price not_an_amount: digits and at most two decimals, no separators, below 1000000000000'
            WHEN price::numeric < 0
                THEN 'price negative: a price is 0 or more'
            WHEN order_date::date < '1900-01-01'
                THEN 'order_date too_early: before 1900'
            WHEN order_date::date > (SELECT audit.as_of())
                THEN 'order_date waits: it lies after the as-of date'
        END AS reason
    FROM cleaned
    -- a fence: without it the CASE is evaluated again for every column below
    OFFSET '0' -- noqa: AM09
),

typed AS (
    SELECT
        line_no,
        -- A snapshot must not drop an order whose line was refused: the key stays where it can be read.
        CASE WHEN reason IS NULL OR audit.is_id(order_id) THEN order_id::bigint END AS order_id,
        CASE WHEN reason IS NULL THEN customer_id::bigint END AS customer_id,
        CASE WHEN reason IS NULL THEN order_date::date END AS order_date,
        product,
        CASE WHEN reason IS NULL THEN price::numeric(14, 2) END AS price,
        reason
    FROM judged
)

SELECT
    typed.line_no,
    typed.order_id,
    typed.customer_id,
    typed.order_date,
    typed.product,
    typed.price,
    CASE
        WHEN typed.reason IS NOT NULL
            THEN typed.reason
        WHEN delivered.customer_id IS NULL AND kept.customer_id IS NULL
            THEN 'customer_id waits: its customer has not arrived'
    END AS reason
FROM typed
LEFT JOIN staging.customers AS delivered
    ON typed.customer_id = delivered.customer_id AND delivered.reason IS NULL
LEFT JOIN core.customers AS kept ON typed.customer_id = kept.customer_id;

-- The last line that carries a key wins; one that waits does not hold back the one before it.
WITH repeated AS (
    SELECT
        order_id,
        max(audit.arrived(line_no)) AS last_arrived,
        max(audit.arrived(line_no)) FILTER (WHERE reason IS NULL) AS last_good_arrived
    FROM staging.orders
    WHERE reason IS NULL OR reason LIKE '% waits:%'
    GROUP BY order_id
    HAVING count(*) > 1
)

UPDATE staging.orders
SET reason = 'order_id superseded: a later line has the same order_id'
FROM repeated
WHERE
    orders.order_id = repeated.order_id
    AND (
        (orders.reason IS NULL AND audit.arrived(orders.line_no) < repeated.last_good_arrived)
        OR (orders.reason LIKE '% waits:%' AND audit.arrived(orders.line_no) < repeated.last_arrived)
    );

ANALYZE staging.orders;

SELECT audit.record_lines('order_data');
