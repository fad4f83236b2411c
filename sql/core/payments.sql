-- core.payments: every payment and refund the company has, as last delivered.
-- Grain: one row per payment_id.
-- Reads: staging.payments, core.orders, customer_activity, audit.sources
-- Write: merged; only rows that differ are written; they follow an order that moved; a snapshot removes the absent.

SELECT audit.open_ledger('core.payments', count(*), sum(payments.amount)) FROM core.payments;

WITH absent AS (
    DELETE FROM core.payments AS kept
    WHERE
        (SELECT audit.drops_absent_rows('payment_data'))
        AND NOT EXISTS (
            SELECT FROM staging.payments AS delivered WHERE delivered.payment_id = kept.payment_id
        )
    RETURNING kept.customer_id, kept.amount
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT absent.customer_id FROM absent
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), -count(*), -sum(absent.amount)) FROM absent;

-- An order that moved to another customer takes its payments along.
WITH strayed AS (
    DELETE FROM core.payments AS kept
    USING core.stale_customers, core.orders
    WHERE
        stale_customers.lost_order
        AND kept.customer_id = stale_customers.customer_id
        AND orders.order_id = kept.order_id
        AND orders.customer_id <> kept.customer_id
    RETURNING
        kept.payment_id, orders.customer_id, kept.order_id, kept.payment_date, kept.amount
),

followed AS (
    INSERT INTO core.payments (
        payment_id, customer_id, order_id, payment_date, amount, run_no, updated_at
    )
    SELECT
        strayed.payment_id,
        strayed.customer_id,
        strayed.order_id,
        strayed.payment_date,
        strayed.amount,
        (SELECT audit.run_no()) AS run_no,
        now() AS updated_at
    FROM strayed
)

SELECT audit.book('core.payments', 2 * count(*), 0, 0) FROM strayed;

-- A correction can move a payment to an order of another customer: the row at the old one goes first.
WITH moved AS (
    DELETE FROM core.payments AS kept
    USING staging.payments AS delivered
    WHERE
        delivered.reason IS NULL
        AND delivered.is_kept IS NOT true
        AND kept.payment_id = delivered.payment_id
        AND kept.customer_id <> delivered.customer_id
    RETURNING kept.customer_id, kept.amount
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT moved.customer_id FROM moved
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), -count(*), -sum(moved.amount)) FROM moved;

-- An empty table takes the whole delivery at once, and gets its indexes afterwards.
SELECT audit.open_whole_load('core.payments');

INSERT INTO core.payments (
    payment_id,
    customer_id,
    order_id,
    payment_date,
    amount,
    run_no,
    updated_at
)
SELECT
    payments.payment_id,
    payments.customer_id,
    payments.order_id,
    payments.payment_date,
    payments.amount,
    (SELECT audit.run_no()) AS run_no,
    now() AS updated_at
FROM staging.payments
WHERE payments.reason IS NULL AND (SELECT audit.loads_whole());

SELECT audit.close_whole_load();

-- Who has no activity yet need not be entered: core.customer_activity finds them.
INSERT INTO core.stale_customers (customer_id)
SELECT DISTINCT payments.customer_id
FROM core.payments
INNER JOIN core.customer_activity ON payments.customer_id = customer_activity.customer_id
WHERE (SELECT audit.loads_whole())
ON CONFLICT (customer_id) DO NOTHING;

SELECT audit.book('core.payments', count(*), count(*), sum(payments.amount))
FROM core.payments
WHERE (SELECT audit.loads_whole());

WITH merged AS (
    MERGE INTO core.payments AS kept -- noqa: PRS
    USING (
        SELECT
            payments.payment_id,
            payments.customer_id,
            payments.order_id,
            payments.payment_date,
            payments.amount
        FROM staging.payments
        WHERE payments.reason IS NULL AND payments.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ) AS delivered
        ON kept.payment_id = delivered.payment_id AND kept.customer_id = delivered.customer_id
    WHEN MATCHED AND (
        kept.order_id, kept.payment_date, kept.amount
    ) IS DISTINCT FROM (
        delivered.order_id, delivered.payment_date, delivered.amount
    ) THEN
        UPDATE
            SET
                order_id = delivered.order_id,
                payment_date = delivered.payment_date,
                amount = delivered.amount,
                run_no = (SELECT audit.run_no()),
                updated_at = now()
    WHEN NOT MATCHED THEN INSERT (
        payment_id, customer_id, order_id, payment_date, amount, run_no, updated_at
    ) VALUES (
        delivered.payment_id,
        delivered.customer_id,
        delivered.order_id,
        delivered.payment_date,
        delivered.amount,
        (SELECT audit.run_no()),
        now()
    )
    RETURNING
        merge_action() AS action,
        new.customer_id,
        new.amount - coalesce(old.amount, 0) AS amount_change
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT merged.customer_id FROM merged
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT
    audit.book(
        'core.payments', count(*), count(*) FILTER (WHERE merged.action = 'INSERT'), sum(merged.amount_change)
    )
FROM merged;

SELECT audit.release('payment_data');
