-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- The last change of each customer up to a day (marts.customer_ltv_as_of), or before a publish (marts.ltv_movers).
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX customer_ltv_history_last_change
ON marts.customer_ltv_history (customer_id, change_no DESC) INCLUDE (as_of);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX marts.customer_ltv_history_customer_id;

CREATE TABLE forecast.publishes (
    publish_no integer NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of date NOT NULL,
    model_no integer REFERENCES forecast.clv_model (model_no),
    yearly_discount double precision NOT NULL,
    weeks_a_year double precision NOT NULL,
    customers bigint NOT NULL,
    expected_orders numeric,
    expected_value numeric,
    published_at timestamp with time zone NOT NULL DEFAULT now()
);
COMMENT ON TABLE forecast.publishes IS 'Every publish of customer_forecast: with customer_forecast_history and its model all that marts.customer_forecast_as_of needs. One row per publish that changed something, never changed.';
COMMENT ON COLUMN forecast.publishes.publish_no IS 'Its number: the later publish has the higher one.';
COMMENT ON COLUMN forecast.publishes.as_of IS 'The day from which its forecasts look ahead.';
COMMENT ON COLUMN forecast.publishes.model_no IS 'The fit that they come from; NULL where there was none.';
COMMENT ON COLUMN forecast.publishes.yearly_discount IS 'forecast.assumptions.yearly_discount of then.';
COMMENT ON COLUMN forecast.publishes.weeks_a_year IS 'forecast.assumptions.weeks_a_year of then.';
COMMENT ON COLUMN forecast.publishes.customers IS 'Customers with a row.';
COMMENT ON COLUMN forecast.publishes.expected_orders IS 'Their expected_orders together, as published. NULL without a model.';
COMMENT ON COLUMN forecast.publishes.expected_value IS 'Their expected_value together, as published. NULL without values.';
COMMENT ON COLUMN forecast.publishes.published_at IS 'When.';

CREATE TABLE forecast.customer_forecast_history (
    customer_id bigint NOT NULL,
    publish_no integer NOT NULL,
    frequency integer,
    first_order_date date,
    last_order_date date,
    monetary_value numeric(24, 4),
    PRIMARY KEY (customer_id, publish_no),
    CHECK (num_nulls(frequency, first_order_date, last_order_date, monetary_value) IN (0, 4))
);
COMMENT ON TABLE forecast.customer_forecast_history IS 'What each customer was forecast from, whenever that has changed; all else moves with the day and the model, and is computed again. One row per customer_id and publish that changed it, never changed. NULLs: no longer forecast.';
COMMENT ON COLUMN forecast.customer_forecast_history.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.customer_forecast_history.publish_no IS 'The publish (forecast.publishes) from which on it holds.';
COMMENT ON COLUMN forecast.customer_forecast_history.frequency IS 'Days with a paid order, the first one not counted.';
COMMENT ON COLUMN forecast.customer_forecast_history.first_order_date IS 'The first such day.';
COMMENT ON COLUMN forecast.customer_forecast_history.last_order_date IS 'The last one.';
COMMENT ON COLUMN forecast.customer_forecast_history.monetary_value IS 'Mean amount of such a day, the first one not counted, in the reporting currency; 0 if there was but one.';

-- What stands published is where the history begins.
INSERT INTO forecast.publishes (
    as_of, model_no, yearly_discount, weeks_a_year, customers, expected_orders, expected_value, published_at
)
SELECT
    max(customer_forecast.as_of) AS as_of,
    max(customer_forecast.model_no) AS model_no,
    0.10 AS yearly_discount,
    365.25::double precision / 7 AS weeks_a_year,
    count(*) AS customers,
    sum(customer_forecast.expected_orders) AS expected_orders,
    sum(customer_forecast.expected_value) AS expected_value,
    max(customer_forecast.updated_at) AS published_at
FROM forecast.customer_forecast
HAVING count(*) > 0;
INSERT INTO forecast.customer_forecast_history (
    customer_id, publish_no, frequency, first_order_date, last_order_date, monetary_value
)
SELECT
    customer_forecast.customer_id,
    publishes.publish_no,
    customer_forecast.frequency,
    customer_forecast.as_of - round(customer_forecast.t * 7)::integer AS first_order_date,
    customer_forecast.as_of - round((customer_forecast.t - customer_forecast.recency) * 7)::integer AS last_order_date,
    customer_forecast.monetary_value
FROM forecast.customer_forecast
CROSS JOIN forecast.publishes;

CREATE TABLE forecast.check_results (
    as_of date NOT NULL,
    claim text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('passed', 'warned', 'failed', 'overridden')),
    bad_rows numeric NOT NULL,
    checked_rows numeric NOT NULL,
    said text NOT NULL,
    checked_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (as_of, claim)
);
COMMENT ON TABLE forecast.check_results IS 'Every verdict of a check on the forecast, passes included. One row per published day and claim: the last one.';
COMMENT ON COLUMN forecast.check_results.as_of IS 'The day of marts.customer_ltv that was forecast from.';
COMMENT ON COLUMN forecast.check_results.claim IS 'The check: its file is sql/forecast/<claim>.sql.';
COMMENT ON COLUMN forecast.check_results.verdict IS 'passed, warned (nothing stops), failed (the forecast before stays), or overridden.';
COMMENT ON COLUMN forecast.check_results.bad_rows IS 'Rows, or amounts, that break the claim.';
COMMENT ON COLUMN forecast.check_results.checked_rows IS 'Of so many.';
COMMENT ON COLUMN forecast.check_results.said IS 'The sentence of the log.';
COMMENT ON COLUMN forecast.check_results.checked_at IS 'When.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
