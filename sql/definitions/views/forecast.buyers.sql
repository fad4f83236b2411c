-- forecast.buyers: what the models are told of each customer, as of the day of forecast.freshness.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.customer_rfm, freshness
-- Write: a view.
CREATE OR REPLACE VIEW forecast.buyers AS
SELECT
    customer_rfm.customer_id,
    customer_rfm.frequency,
    customer_rfm.first_order_date,
    customer_rfm.recency,
    customer_rfm.repeat_amount,
    customer_rfm.monetary_value,
    customer_rfm.mean_amount,
    customer_rfm.sample,
    (SELECT freshness.as_of FROM forecast.freshness) AS as_of,
    ((SELECT freshness.as_of FROM forecast.freshness) - customer_rfm.first_order_date)::double precision / 7 AS t
FROM forecast.customer_rfm;
COMMENT ON VIEW forecast.buyers IS 'What the models are told of each customer, as of the day of forecast.freshness. One row per customer_id with a paid order.';
COMMENT ON COLUMN forecast.buyers.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.buyers.as_of IS 'The day from which the forecast looks ahead: the published one.';
COMMENT ON COLUMN forecast.buyers.frequency IS 'Days with a paid order, the first one not counted.';
COMMENT ON COLUMN forecast.buyers.first_order_date IS 'The first such day.';
COMMENT ON COLUMN forecast.buyers.recency IS 'Weeks from the first such day to the last; 0 if there was but one.';
COMMENT ON COLUMN forecast.buyers.t IS 'Weeks from the first such day to as_of.';
COMMENT ON COLUMN forecast.buyers.repeat_amount IS 'What was paid on these days, refunds deducted, the first one not counted, in the reporting currency.';
COMMENT ON COLUMN forecast.buyers.monetary_value IS 'Its mean; 0 if there was but one.';
COMMENT ON COLUMN forecast.buyers.mean_amount IS 'monetary_value, as the models compute with it.';
COMMENT ON COLUMN forecast.buyers.sample IS 'forecast.sample_of the customer.';
