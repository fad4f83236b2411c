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
SELECT audit.copy_comments('forecast.customer_forecast', 'marts.customer_forecast') AS copied;
