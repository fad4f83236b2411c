-- core.paid_orders: as in sql/definitions, where orders and payments are distributed by their customer.
-- Grain: one row per order_id.
-- Reads: core.payments, core.orders
-- Write: a view. Joined by both ids order and payments meet on their worker.
CREATE OR REPLACE VIEW core.paid_orders AS
WITH paid_for AS (
    SELECT
        payments.customer_id,
        payments.order_id,
        sum(payments.amount) AS amount
    FROM core.payments
    GROUP BY payments.customer_id, payments.order_id
)

SELECT
    orders.order_id,
    orders.customer_id,
    orders.order_date,
    orders.product,
    paid_for.amount
FROM paid_for
INNER JOIN core.orders ON paid_for.order_id = orders.order_id AND paid_for.customer_id = orders.customer_id
WHERE core.a_paid_order(paid_for.amount, orders.price);
