-- core.payments: every payment and refund the company has, as last delivered.
-- Grain: one row per payment_id.
-- Reads: staging.payments, core.orders, customer_activity, audit.sources
-- Write: merged; only rows that differ are written; they follow an order that moved; a snapshot removes the absent.

SELECT audit.open_ledger('core.payments', count(*), sum(payments.amount)) FROM core.payments;

WITH absent AS (
    DELETE FROM core.payments
    WHERE payments.payment_id IN (SELECT gone.payment_id FROM core.absent_payments() AS gone)
    RETURNING payments.customer_id, payments.amount
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT absent.customer_id FROM absent
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), -count(*), -sum(absent.amount)) FROM absent;

-- An order that moved to another customer takes its payments along.
WITH left_behind AS MATERIALIZED (
    SELECT
        payments.payment_id,
        payments.customer_id,
        payments.order_id
    FROM core.stale_customers
    INNER JOIN core.payments ON stale_customers.customer_id = payments.customer_id
    WHERE stale_customers.lost_order
),

moving AS MATERIALIZED (
    SELECT
        left_behind.payment_id,
        left_behind.customer_id,
        orders.customer_id AS moves_to
    FROM left_behind
    INNER JOIN core.orders ON left_behind.order_id = orders.order_id
    WHERE left_behind.customer_id <> orders.customer_id
),

strayed AS (
    DELETE FROM core.payments AS kept
    USING moving
    WHERE kept.payment_id = moving.payment_id AND kept.customer_id = moving.customer_id
    RETURNING
        kept.payment_id, moving.moves_to AS customer_id, kept.order_id, kept.payment_date, kept.amount
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

-- A correction can move a payment to an order of another customer: the row at the old one goes first.
WITH moved AS (
    DELETE FROM core.payments AS kept
    USING (
        SELECT
            payments.payment_id,
            payments.customer_id
        FROM staging.payments
        WHERE payments.reason IS NULL AND payments.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ) AS delivered
    WHERE kept.payment_id = delivered.payment_id AND kept.customer_id <> delivered.customer_id
    RETURNING kept.customer_id, kept.amount
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT moved.customer_id FROM moved
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), -count(*), -sum(moved.amount)) FROM moved;

WITH changed AS (
    UPDATE core.payments AS kept
    SET
        order_id = delivered.order_id,
        payment_date = delivered.payment_date,
        amount = delivered.amount,
        run_no = (SELECT audit.run_no()),
        updated_at = now()
    FROM (
        SELECT
            payments.payment_id,
            payments.customer_id,
            payments.order_id,
            payments.payment_date,
            payments.amount
        FROM staging.payments
        WHERE payments.reason IS NULL AND payments.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ) AS delivered
    WHERE
        kept.payment_id = delivered.payment_id
        AND kept.customer_id = delivered.customer_id
        AND (
            kept.order_id, kept.payment_date, kept.amount
        ) IS DISTINCT FROM (
            delivered.order_id, delivered.payment_date, delivered.amount
        )
    RETURNING new.customer_id, new.amount - old.amount AS amount_change
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT changed.customer_id FROM changed
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), 0, sum(changed.amount_change)) FROM changed;

-- What is there already is passed over; core.payments__reconciles holds every good line against what core has.
WITH added AS (
    INSERT INTO core.payments (
        payment_id, customer_id, order_id, payment_date, amount, run_no, updated_at
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
    WHERE payments.reason IS NULL AND payments.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ON CONFLICT DO NOTHING
    RETURNING payments.customer_id, payments.amount
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT added.customer_id FROM added
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.payments', count(*), count(*), sum(added.amount)) FROM added;

SELECT audit.release('payment_data');
