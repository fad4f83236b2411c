-- forecast.buying_days: the days on which customers have bought, with the amount; what the models call a purchase.
-- Grain: one row per customer_id and day with a paid order.
-- Reads: core.payments, core.orders
-- Write: a view. What a paid order is, core.activity says; customer_rfm__agrees_with_customer_ltv ties the two.
CREATE OR REPLACE VIEW forecast.buying_days AS
WITH paid_for AS (
    SELECT
        payments.order_id,
        sum(payments.amount) AS amount
    FROM core.payments
    GROUP BY payments.order_id
    HAVING sum(payments.amount) > 0
)

SELECT
    orders.customer_id,
    orders.order_date,
    count(*) AS orders,
    sum(paid_for.amount) AS amount
FROM paid_for
INNER JOIN core.orders ON paid_for.order_id = orders.order_id
GROUP BY orders.customer_id, orders.order_date;
COMMENT ON VIEW forecast.buying_days IS 'The days on which customers have bought; several paid orders on one day are one purchase. One row per customer_id and day with a paid order.';
COMMENT ON COLUMN forecast.buying_days.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.buying_days.order_date IS 'The day.';
COMMENT ON COLUMN forecast.buying_days.orders IS 'Paid orders of that day.';
COMMENT ON COLUMN forecast.buying_days.amount IS 'Their payments, refunds deducted, in the reporting currency.';
