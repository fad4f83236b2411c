-- forecast.known_buying_days: forecast.buying_days for forecast.customer_rfm, which finds them otherwise on workers.
-- Grain: one row per customer_id and day with a paid order.
-- Reads: forecast.buying_days
-- Write: a view.
CREATE OR REPLACE VIEW forecast.known_buying_days AS
SELECT
    buying_days.customer_id,
    buying_days.order_date,
    buying_days.orders,
    buying_days.amount
FROM forecast.buying_days;
COMMENT ON VIEW forecast.known_buying_days IS 'forecast.buying_days, for forecast.customer_rfm. One row per customer_id and day with a paid order.';
COMMENT ON COLUMN forecast.known_buying_days.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.known_buying_days.order_date IS 'The day.';
COMMENT ON COLUMN forecast.known_buying_days.orders IS 'Paid orders of that day.';
COMMENT ON COLUMN forecast.known_buying_days.amount IS 'Their payments, refunds deducted, in the reporting currency.';
