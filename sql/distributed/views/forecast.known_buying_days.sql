-- forecast.known_buying_days: as in sql/definitions, by way of a function: what merges them must not see the workers.
-- Grain: one row per customer_id and day with a paid order.
-- Reads: core.paid_orders
-- Write: a view.
CREATE OR REPLACE VIEW forecast.known_buying_days AS
SELECT
    buying_days.customer_id,
    buying_days.order_date,
    buying_days.orders,
    buying_days.amount
FROM forecast.every_buying_day() AS buying_days;
