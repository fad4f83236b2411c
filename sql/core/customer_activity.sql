-- core.customer_activity: what each customer bought and paid: facts that add up, whatever the day.
-- Grain: one row per customer_id.
-- Reads: core.stale_customers, core.customers, core.orders, core.payments, audit.runs
-- Write: merged for the customers whose rows changed; only rows that differ are written.

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_hashagg = off;
-- After an ANALYZE of an empty table the planner would read it once per customer, while it fills.
SET LOCAL enable_nestloop = off;

-- Whoever has no row yet, or no longer, is computed too.
INSERT INTO core.stale_customers (customer_id)
SELECT customers.customer_id
FROM core.customers
LEFT JOIN core.customer_activity ON customers.customer_id = customer_activity.customer_id
WHERE customer_activity.customer_id IS NULL
ON CONFLICT (customer_id) DO NOTHING;

-- The queue is empty whenever autovacuum looks at it.
ANALYZE core.stale_customers;

-- For most of the customers it is cheaper to read everything; nested loops are for a few.
WITH extent AS MATERIALIZED (
    SELECT 2 * (SELECT count(*) FROM core.stale_customers) > (SELECT count(*) FROM core.customers) AS is_everybody
)

SELECT
    set_config('ltv.everybody', extent.is_everybody::text, true) AS everybody,
    set_config('enable_nestloop', (NOT extent.is_everybody)::text, true) AS enable_nestloop
FROM extent;

DELETE FROM core.customer_activity AS kept
USING core.stale_customers
WHERE
    kept.customer_id = stale_customers.customer_id
    AND NOT EXISTS (
        SELECT FROM core.customers WHERE customers.customer_id = kept.customer_id
    );

INSERT INTO core.customer_activity (
    customer_id,
    total_orders,
    total_amount,
    unpaid_amount,
    first_order_date,
    last_order_date,
    run_no,
    updated_at
)
WITH buyers AS (
    SELECT
        activity.customer_id,
        activity.total_orders,
        activity.total_amount,
        activity.unpaid_amount,
        activity.first_order_date,
        activity.last_order_date
    FROM core.activity(everybody => true) AS activity
    WHERE (SELECT current_setting('ltv.everybody')::boolean)
    UNION ALL
    SELECT
        activity.customer_id,
        activity.total_orders,
        activity.total_amount,
        activity.unpaid_amount,
        activity.first_order_date,
        activity.last_order_date
    FROM core.activity(everybody => false) AS activity
    WHERE NOT (SELECT current_setting('ltv.everybody')::boolean)
)

SELECT
    customers.customer_id,
    coalesce(buyers.total_orders, 0) AS total_orders,
    coalesce(buyers.total_amount, 0) AS total_amount,
    coalesce(buyers.unpaid_amount, 0) AS unpaid_amount,
    buyers.first_order_date,
    buyers.last_order_date,
    (SELECT audit.run_no()) AS run_no,
    now() AS updated_at
FROM core.stale_customers
INNER JOIN core.customers ON stale_customers.customer_id = customers.customer_id
LEFT JOIN buyers ON customers.customer_id = buyers.customer_id
LEFT JOIN core.customer_activity AS kept ON customers.customer_id = kept.customer_id
WHERE
    kept.customer_id IS NULL
    OR (
        kept.total_orders, kept.total_amount, kept.unpaid_amount, kept.first_order_date, kept.last_order_date
    ) IS DISTINCT FROM (
        coalesce(buyers.total_orders, 0),
        coalesce(buyers.total_amount, 0),
        coalesce(buyers.unpaid_amount, 0),
        buyers.first_order_date,
        buyers.last_order_date
    )
ON CONFLICT (customer_id) DO UPDATE
    SET
        total_orders = excluded.total_orders,
        total_amount = excluded.total_amount,
        unpaid_amount = excluded.unpaid_amount,
        first_order_date = excluded.first_order_date,
        last_order_date = excluded.last_order_date,
        run_no = excluded.run_no,
        updated_at = excluded.updated_at;

-- For whoever keeps something about customers outside of runs, and as long as an undo is possible.
WITH expired AS (
    DELETE FROM core.changed_customers
    USING audit.runs
    WHERE changed_customers.run_no = runs.run_no AND runs.started_at < now() - audit.undo_kept_for()
    RETURNING changed_customers.change_no
)

-- Nor are these rows that the run has written.
SELECT count(*) AS expired FROM expired;

INSERT INTO core.changed_customers (run_no, customer_id)
SELECT
    (SELECT audit.run_no()) AS run_no,
    stale_customers.customer_id
FROM core.stale_customers
WHERE NOT (SELECT current_setting('ltv.everybody')::boolean);

INSERT INTO core.changed_customers (run_no, customer_id)
SELECT
    (SELECT audit.run_no()) AS run_no,
    NULL AS customer_id
WHERE (SELECT current_setting('ltv.everybody')::boolean);

-- No TRUNCATE: it would wait for whoever reads the table, a backup for example.
WITH done AS (
    DELETE FROM core.stale_customers
    RETURNING stale_customers.customer_id
)

-- What is counted as written are the rows above.
SELECT count(*) AS computed FROM done;
