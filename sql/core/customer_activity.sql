-- core.customer_activity: what each customer bought and paid: facts that add up, whatever the day.
-- Grain: one row per customer_id.
-- Reads: core.stale_customers, core.customers, core.orders, core.payments
-- Write: merged for the customers whose rows changed; only rows that differ are written.

-- Whoever has no row yet, or no longer, is computed too.
INSERT INTO core.stale_customers (customer_id)
SELECT customers.customer_id
FROM core.customers
LEFT JOIN core.customer_activity ON customers.customer_id = customer_activity.customer_id
WHERE customer_activity.customer_id IS NULL
ON CONFLICT (customer_id) DO NOTHING;

MERGE INTO core.customer_activity AS kept
USING (
    -- A paid order is one whose payments, refunds deducted, add up to more than 0.
    WITH net_payments AS (
        SELECT
            payments.customer_id,
            payments.order_id,
            sum(payments.amount) AS amount,
            sum(payments.amount) > 0 AS is_paid
        FROM core.payments
        INNER JOIN core.stale_customers ON payments.customer_id = stale_customers.customer_id
        GROUP BY payments.customer_id, payments.order_id
    ),

    buyers AS (
        SELECT
            orders.customer_id,
            count(*) FILTER (WHERE net_payments.is_paid) AS total_orders,
            sum(net_payments.amount) FILTER (WHERE net_payments.is_paid) AS total_amount,
            sum(net_payments.amount) FILTER (WHERE NOT net_payments.is_paid) AS unpaid_amount,
            min(orders.order_date) FILTER (WHERE net_payments.is_paid) AS first_order_date,
            max(orders.order_date) FILTER (WHERE net_payments.is_paid) AS last_order_date
        FROM core.orders
        INNER JOIN net_payments
            ON orders.customer_id = net_payments.customer_id AND orders.order_id = net_payments.order_id
        GROUP BY orders.customer_id
    )

    SELECT
        stale_customers.customer_id,
        customers.customer_id IS NULL AS is_gone,
        coalesce(buyers.total_orders, 0) AS total_orders,
        coalesce(buyers.total_amount, 0) AS total_amount,
        coalesce(buyers.unpaid_amount, 0) AS unpaid_amount,
        buyers.first_order_date,
        buyers.last_order_date
    FROM core.stale_customers
    LEFT JOIN core.customers ON stale_customers.customer_id = customers.customer_id
    LEFT JOIN buyers ON stale_customers.customer_id = buyers.customer_id
) AS computed
    ON kept.customer_id = computed.customer_id
WHEN MATCHED AND computed.is_gone THEN DELETE
WHEN MATCHED AND (
    kept.total_orders, kept.total_amount, kept.unpaid_amount, kept.first_order_date, kept.last_order_date
) IS DISTINCT FROM (
    computed.total_orders,
    computed.total_amount,
    computed.unpaid_amount,
    computed.first_order_date,
    computed.last_order_date
) THEN
    UPDATE
        SET
            total_orders = computed.total_orders,
            total_amount = computed.total_amount,
            unpaid_amount = computed.unpaid_amount,
            first_order_date = computed.first_order_date,
            last_order_date = computed.last_order_date,
            run_no = (SELECT audit.run_no()),
            updated_at = now()
WHEN NOT MATCHED AND NOT computed.is_gone THEN INSERT (
    customer_id,
    total_orders,
    total_amount,
    unpaid_amount,
    first_order_date,
    last_order_date,
    run_no,
    updated_at
) VALUES (
    computed.customer_id,
    computed.total_orders,
    computed.total_amount,
    computed.unpaid_amount,
    computed.first_order_date,
    computed.last_order_date,
    (SELECT audit.run_no()),
    now()
);

-- No TRUNCATE: it would wait for whoever reads the table, a backup for example.
DELETE FROM core.stale_customers;
