-- core.paid_orders: the orders that count as paid.
-- Grain: one row per order_id.
-- Reads: core.payments, core.orders
-- Write: a view. core.a_paid_order says which those are.
CREATE OR REPLACE VIEW core.paid_orders AS
WITH paid_for AS (
    SELECT
        payments.order_id,
        sum(payments.amount) AS amount
    FROM core.payments
    GROUP BY payments.order_id
)

SELECT
    orders.order_id,
    orders.customer_id,
    orders.order_date,
    orders.product,
    paid_for.amount
FROM paid_for
INNER JOIN core.orders ON paid_for.order_id = orders.order_id
WHERE core.a_paid_order(paid_for.amount, orders.price);
COMMENT ON VIEW core.paid_orders IS 'The orders whose payments, refunds deducted, add up to more than 0. One row per order_id.';
COMMENT ON COLUMN core.paid_orders.order_id IS 'The order.';
COMMENT ON COLUMN core.paid_orders.customer_id IS 'Whose it is.';
COMMENT ON COLUMN core.paid_orders.order_date IS 'Its day.';
COMMENT ON COLUMN core.paid_orders.product IS 'What was ordered.';
COMMENT ON COLUMN core.paid_orders.amount IS 'Its payments, refunds deducted, in the reporting currency.';
