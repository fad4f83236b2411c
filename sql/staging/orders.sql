-- staging.orders: every line of this delivery's orders, typed where it can be, with its verdict.
-- Grain: one row per line of order_data, and per row that waited for its customer or its day (line_no below 0).
-- Reads: raw.order_data, audit.waiting_rows, sources, staging.customers, core.customers, orders, forgotten_customers
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

typed AS (
    SELECT
        received.line_no,
        received.order_id AS order_id_received,
        received.customer_id AS customer_id_received,
        received.order_date AS order_date_received,
        received.price AS price_received,
        audit.to_id(received.order_id, unknown.tokens, unknown.numerals) AS order_id,
        audit.to_id(received.customer_id, unknown.tokens, unknown.numerals) AS customer_id,
        audit.to_day(received.order_date, unknown.tokens, unknown.numerals) AS order_date,
        audit.cleaned(received.product, unknown.tokens) AS product,
        audit.to_amount(received.price, unknown.tokens, unknown.numerals) AS price,
        unknown.tokens
    FROM received
    CROSS JOIN audit.unknown_values('order_data') AS unknown
    -- a fence: each field is typed once, however often it is looked at below;
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
                        line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('order_data') AS swallowed)
                        OR audit.any_swallowed_a_line(
                            'order_data', order_id_received, customer_id_received, order_date_received, product,
                            price_received
                        )
                        THEN 'line swallowed_a_line: a quote was opened and closed lines later'
                    ELSE 'customer_id forgotten: this customer was erased'
                END
            WHEN line_no IN (SELECT swallowed.line_no FROM audit.swallowed_lines('order_data') AS swallowed)
                THEN 'line swallowed_a_line: a quote was opened and closed lines later'
            WHEN order_id IS NULL AND audit.cleaned(order_id_received, tokens) IS NULL
                THEN 'order_id missing: an order needs a number'
            WHEN order_id IS NULL AND lower(audit.cleaned(order_id_received, tokens)) = 'order_id'
                THEN 'order_id repeated_header: the header stands here again'
            WHEN order_id IS NULL
                THEN 'order_id not_a_whole_number: digits only, no leading zero'
            WHEN customer_id IS NULL AND audit.cleaned(customer_id_received, tokens) IS NULL
                THEN 'customer_id missing: an order needs its customer'
            WHEN customer_id IS NULL
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN order_date IS NULL AND audit.cleaned(order_date_received, tokens) IS NULL
                THEN 'order_date missing: an order needs a day'
            WHEN order_date IS NULL
                THEN 'order_date not_a_day: YYYY-MM-DD'
            WHEN audit.swallowed_a_line(product, 'order_data')
                THEN 'product swallowed_a_line: a quote was opened and closed lines later'
            WHEN price IS NULL AND audit.cleaned(price_received, tokens) IS NULL
                THEN 'price missing: an order needs a price'
            WHEN price IS NULL
                THEN 'price not_an_amount: digits and at most two decimals, no separators, below 1000000000000'
            WHEN price < 0
                THEN 'price negative: a price is 0 or more'
            WHEN order_date < '1900-01-01'
                THEN 'order_date too_early: before 1900'
            WHEN order_date > (SELECT audit.as_of())
                THEN 'order_date waits: it lies after the as-of date'
        END AS reason
    FROM typed
    -- a fence: without it the CASE is evaluated again for every column below
    OFFSET '0' -- noqa: AM09
)

SELECT
    judged.line_no,
    -- A snapshot must not drop an order whose line was refused: the key stays where it can be read.
    judged.order_id,
    CASE WHEN judged.reason IS NULL THEN judged.customer_id END AS customer_id,
    CASE WHEN judged.reason IS NULL THEN judged.order_date END AS order_date,
    -- Nothing is kept of a customer who was erased, whose line another may have swallowed.
    CASE
        WHEN judged.reason IS NULL OR judged.reason !~ ' (forgotten|swallowed_a_line):' THEN judged.product
    END AS product,
    CASE WHEN judged.reason IS NULL THEN judged.price::numeric(14, 2) END AS price,
    CASE
        WHEN judged.reason IS NOT NULL
            THEN judged.reason
        WHEN delivered.customer_id IS NULL AND kept.customer_id IS NULL
            THEN 'customer_id waits: its customer has not arrived'
    END AS reason,
    -- Of a snapshot most lines say what core knows: it need not look for them again.
    coalesce(
        same.customer_id = judged.customer_id
        AND same.order_date = judged.order_date
        AND (same.product = judged.product OR (same.product IS NULL AND judged.product IS NULL))
        AND same.price = judged.price,
        false
    ) AS is_kept
FROM judged
LEFT JOIN staging.customers AS delivered
    ON judged.customer_id = delivered.customer_id AND delivered.reason IS NULL
LEFT JOIN core.known_customers('order_data') AS kept ON judged.customer_id = kept.customer_id
LEFT JOIN core.known_orders('order_data') AS same ON judged.order_id = same.order_id;

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashagg = off;

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

SET LOCAL enable_hashagg TO DEFAULT;

ANALYZE staging.orders;

SELECT audit.record_lines('order_data');
