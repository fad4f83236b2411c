-- marts.customer_forecast: what each customer is expected to buy in the next 12 months, for whoever reads marts.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.customer_forecast
-- Write: a view.
CREATE OR REPLACE VIEW marts.customer_forecast AS
SELECT
    customer_forecast.customer_id,
    customer_forecast.as_of,
    customer_forecast.frequency,
    customer_forecast.recency,
    customer_forecast.t,
    customer_forecast.monetary_value,
    customer_forecast.p_alive,
    customer_forecast.expected_orders,
    customer_forecast.expected_order_value,
    customer_forecast.expected_value,
    customer_forecast.model_no,
    customer_forecast.updated_at
FROM forecast.customer_forecast;
COMMENT ON VIEW marts.customer_forecast IS 'What each customer is expected to buy in the next 12 months, and what the forecast is made from. One row per customer_id with a paid order.';
COMMENT ON COLUMN marts.customer_forecast.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.customer_forecast.as_of IS 'The day from which the forecast looks ahead: the published one.';
COMMENT ON COLUMN marts.customer_forecast.frequency IS 'Days with a paid order, the first one not counted.';
COMMENT ON COLUMN marts.customer_forecast.recency IS 'Weeks from the first such day to the last; 0 if there was but one.';
COMMENT ON COLUMN marts.customer_forecast.t IS 'Weeks from the first such day to as_of.';
COMMENT ON COLUMN marts.customer_forecast.monetary_value IS 'Mean amount, refunds deducted, of such a day, the first one not counted, in the reporting currency; 0 if there was but one.';
COMMENT ON COLUMN marts.customer_forecast.p_alive IS 'Chance that the customer still buys; 1 after a single purchase, by the model''s nature. NULL where no model could be fitted, like all that follows.';
COMMENT ON COLUMN marts.customer_forecast.expected_orders IS 'Expected days with a paid order in the next 12 months.';
COMMENT ON COLUMN marts.customer_forecast.expected_order_value IS 'Expected amount of such a day. NULL where no values could be fitted, like expected_value.';
COMMENT ON COLUMN marts.customer_forecast.expected_value IS 'Expected amount in the next 12 months, discounted to as_of.';
COMMENT ON COLUMN marts.customer_forecast.model_no IS 'The fit that it comes from.';
COMMENT ON COLUMN marts.customer_forecast.updated_at IS 'When the row last changed.';
