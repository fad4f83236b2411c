-- core.orders: every order the company has, as last delivered.
-- Grain: one row per order_id.
-- Reads: staging.orders, payments, core.payments, customer_activity, audit.sources
-- Write: merged; only rows that differ are written; a snapshot removes the absent ones that nothing needs.

SELECT audit.open_ledger('core.orders', count(*), sum(orders.price)) FROM core.orders;

WITH absent AS (
    DELETE FROM core.orders
    WHERE orders.order_id IN (SELECT gone.order_id FROM core.absent_orders() AS gone)
    RETURNING orders.customer_id, orders.price
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT absent.customer_id FROM absent
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.orders', count(*), -count(*), -sum(absent.price)) FROM absent;

-- An empty table takes the whole delivery at once, and gets its indexes afterwards.
SELECT audit.open_whole_load('core.orders');

INSERT INTO core.orders (
    order_id,
    customer_id,
    order_date,
    product,
    price,
    run_no,
    updated_at
)
SELECT
    orders.order_id,
    orders.customer_id,
    orders.order_date,
    orders.product,
    orders.price,
    (SELECT audit.run_no()) AS run_no,
    now() AS updated_at
FROM staging.orders
WHERE orders.reason IS NULL AND (SELECT audit.loads_whole());

SELECT audit.close_whole_load();

-- Who has no activity yet need not be entered: core.customer_activity finds them.
INSERT INTO core.stale_customers (customer_id)
SELECT DISTINCT orders.customer_id
FROM core.orders
INNER JOIN core.customer_activity ON orders.customer_id = customer_activity.customer_id
WHERE (SELECT audit.loads_whole())
ON CONFLICT (customer_id) DO NOTHING;

SELECT audit.book('core.orders', count(*), count(*), sum(orders.price))
FROM core.orders
WHERE (SELECT audit.loads_whole());

-- A correction can move an order to another customer: the row at the old one goes first.
WITH moved AS (
    DELETE FROM core.orders AS kept
    USING (
        SELECT
            orders.order_id,
            orders.customer_id
        FROM staging.orders
        WHERE orders.reason IS NULL AND orders.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ) AS delivered
    WHERE kept.order_id = delivered.order_id AND kept.customer_id <> delivered.customer_id
    RETURNING kept.customer_id, kept.price
),

stale AS (
    INSERT INTO core.stale_customers (customer_id, lost_order)
    SELECT DISTINCT
        moved.customer_id,
        true AS lost_order
    FROM moved
    ON CONFLICT (customer_id) DO UPDATE SET lost_order = excluded.lost_order
)

SELECT audit.book('core.orders', count(*), -count(*), -sum(moved.price)) FROM moved;

WITH changed AS (
    UPDATE core.orders AS kept
    SET
        order_date = delivered.order_date,
        product = delivered.product,
        price = delivered.price,
        run_no = (SELECT audit.run_no()),
        updated_at = now()
    FROM (
        SELECT
            orders.order_id,
            orders.customer_id,
            orders.order_date,
            orders.product,
            orders.price
        FROM staging.orders
        WHERE orders.reason IS NULL AND orders.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ) AS delivered
    WHERE
        kept.order_id = delivered.order_id
        AND kept.customer_id = delivered.customer_id
        AND (
            kept.order_date, kept.product, kept.price
        ) IS DISTINCT FROM (
            delivered.order_date, delivered.product, delivered.price
        )
    RETURNING new.customer_id, new.price - old.price AS amount_change
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT changed.customer_id FROM changed
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.orders', count(*), 0, sum(changed.amount_change)) FROM changed;

-- What is there already is passed over; core.orders__reconciles holds every good line against what core has.
WITH added AS (
    INSERT INTO core.orders (
        order_id, customer_id, order_date, product, price, run_no, updated_at
    )
    SELECT
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.product,
        orders.price,
        (SELECT audit.run_no()) AS run_no,
        now() AS updated_at
    FROM staging.orders
    WHERE orders.reason IS NULL AND orders.is_kept IS NOT true AND NOT (SELECT audit.loads_whole())
    ON CONFLICT DO NOTHING
    RETURNING orders.customer_id, orders.price
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT DISTINCT added.customer_id FROM added
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.orders', count(*), count(*), sum(added.price)) FROM added;

SELECT audit.release('order_data');
