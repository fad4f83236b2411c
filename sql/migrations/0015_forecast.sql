-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE SCHEMA forecast;
COMMENT ON SCHEMA forecast IS 'What customers will be worth: models fitted to core after each publish, by a DAG of its own. No part of a run: nothing here is guarded by one, undone with one, or waited for by one.';

CREATE TABLE forecast.clv_model (
    model_no integer NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of date NOT NULL,
    verdict text NOT NULL,
    customers bigint NOT NULL,
    repeat_customers bigint NOT NULL,
    r double precision,
    alpha double precision,
    a double precision,
    b double precision,
    log_likelihood double precision,
    iterations integer,
    p double precision,
    q double precision,
    gamma double precision,
    value_log_likelihood double precision,
    value_iterations integer,
    frequency_value_correlation double precision,
    seconds numeric(10, 3) NOT NULL,
    fitted_at timestamp with time zone NOT NULL DEFAULT now(),
    CHECK (num_nulls(r, alpha, a, b, log_likelihood) IN (0, 5)),
    CHECK (num_nulls(p, q, gamma, value_log_likelihood) IN (0, 4)),
    CHECK (r IS NOT NULL OR p IS NULL),
    CHECK ((verdict LIKE 'refused: %') = (r IS NULL))
);
COMMENT ON TABLE forecast.clv_model IS 'Every fit of the two models: BG/NBD (how often, and whether still) and Gamma-Gamma (for how much). One row per fit, never changed.';
COMMENT ON COLUMN forecast.clv_model.model_no IS 'Its number: the later fit has the higher one.';
COMMENT ON COLUMN forecast.clv_model.as_of IS 'The last day that it knows of.';
COMMENT ON COLUMN forecast.clv_model.verdict IS '"fitted", "fitted, without values: …" or "refused: …", with the reason; after a refusal there is no forecast, and customer_ltv stands alone.';
COMMENT ON COLUMN forecast.clv_model.customers IS 'Customers with a paid order.';
COMMENT ON COLUMN forecast.clv_model.repeat_customers IS 'Those of them who bought on two days or more.';
COMMENT ON COLUMN forecast.clv_model.r IS 'BG/NBD: shape of the distribution of purchase rates. NULL where it was refused, like the next four.';
COMMENT ON COLUMN forecast.clv_model.alpha IS 'BG/NBD: rate of that distribution, in weeks; r / alpha is the mean number of purchases a week while active.';
COMMENT ON COLUMN forecast.clv_model.a IS 'BG/NBD: first parameter of the distribution of the chance to leave after a purchase.';
COMMENT ON COLUMN forecast.clv_model.b IS 'BG/NBD: second parameter of it; a / (a + b) is the mean chance.';
COMMENT ON COLUMN forecast.clv_model.log_likelihood IS 'BG/NBD: log-likelihood at these parameters.';
COMMENT ON COLUMN forecast.clv_model.iterations IS 'BG/NBD: steps of the search.';
COMMENT ON COLUMN forecast.clv_model.p IS 'Gamma-Gamma: shape of what one customer spends on a purchase. NULL where it was refused, like the next three.';
COMMENT ON COLUMN forecast.clv_model.q IS 'Gamma-Gamma: shape of the distribution of the customers'' own means.';
COMMENT ON COLUMN forecast.clv_model.gamma IS 'Gamma-Gamma: scale of that distribution, in the reporting currency; p × gamma / (q − 1) is the mean purchase.';
COMMENT ON COLUMN forecast.clv_model.value_log_likelihood IS 'Gamma-Gamma: log-likelihood at these parameters.';
COMMENT ON COLUMN forecast.clv_model.value_iterations IS 'Gamma-Gamma: steps of the search.';
COMMENT ON COLUMN forecast.clv_model.frequency_value_correlation IS 'Correlation of frequency and monetary_value over repeat customers; Gamma-Gamma takes it to be about 0.';
COMMENT ON COLUMN forecast.clv_model.seconds IS 'How long the fit took.';
COMMENT ON COLUMN forecast.clv_model.fitted_at IS 'When.';

CREATE TABLE forecast.customer_forecast (
    customer_id bigint NOT NULL PRIMARY KEY,
    as_of date NOT NULL,
    frequency integer NOT NULL,
    recency double precision NOT NULL,
    t double precision NOT NULL,
    monetary_value numeric(24, 4) NOT NULL,
    p_alive numeric(7, 6),
    expected_orders numeric(14, 6),
    expected_order_value numeric(24, 2),
    expected_value numeric(24, 2),
    model_no integer REFERENCES forecast.clv_model (model_no),
    updated_at timestamp with time zone NOT NULL
)
-- Every row changes every day: room for its next version on its own page.
WITH (fillfactor = 50);
COMMENT ON TABLE forecast.customer_forecast IS 'What each customer is expected to buy in the next 12 months, and what the forecast is made from. One row per customer_id with a paid order.';
COMMENT ON COLUMN forecast.customer_forecast.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.customer_forecast.as_of IS 'The day from which the forecast looks ahead: the published one.';
COMMENT ON COLUMN forecast.customer_forecast.frequency IS 'Days with a paid order, the first one not counted.';
COMMENT ON COLUMN forecast.customer_forecast.recency IS 'Weeks from the first such day to the last; 0 if there was but one.';
COMMENT ON COLUMN forecast.customer_forecast.t IS 'Weeks from the first such day to as_of.';
COMMENT ON COLUMN forecast.customer_forecast.monetary_value IS 'Mean amount, refunds deducted, of such a day, the first one not counted, in the reporting currency; 0 if there was but one.';
COMMENT ON COLUMN forecast.customer_forecast.p_alive IS 'Chance that the customer still buys; 1 after a single purchase, by the model''s nature. NULL where no model could be fitted, like all that follows.';
COMMENT ON COLUMN forecast.customer_forecast.expected_orders IS 'Expected days with a paid order in the next 12 months.';
COMMENT ON COLUMN forecast.customer_forecast.expected_order_value IS 'Expected amount of such a day. NULL where no values could be fitted, like expected_value.';
COMMENT ON COLUMN forecast.customer_forecast.expected_value IS 'Expected amount in the next 12 months, discounted to as_of.';
COMMENT ON COLUMN forecast.customer_forecast.model_no IS 'The fit that it comes from.';
COMMENT ON COLUMN forecast.customer_forecast.updated_at IS 'When the row last changed.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
