-- forecast.buying_days: the days on which customers have bought, with the amount; what the models call a purchase.
-- Grain: one row per customer_id and day with a paid order.
-- Reads: core.paid_orders
-- Write: a view.
CREATE OR REPLACE VIEW forecast.buying_days AS
SELECT
    paid_orders.customer_id,
    paid_orders.order_date,
    count(*) AS orders,
    sum(paid_orders.amount) AS amount
FROM core.paid_orders
GROUP BY paid_orders.customer_id, paid_orders.order_date;
COMMENT ON VIEW forecast.buying_days IS 'The days on which customers have bought; several paid orders on one day are one purchase. One row per customer_id and day with a paid order.';
COMMENT ON COLUMN forecast.buying_days.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.buying_days.order_date IS 'The day.';
COMMENT ON COLUMN forecast.buying_days.orders IS 'Paid orders of that day.';
COMMENT ON COLUMN forecast.buying_days.amount IS 'Their payments, refunds deducted, in the reporting currency.';
