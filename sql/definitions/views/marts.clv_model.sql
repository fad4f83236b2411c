-- marts.clv_model: the models that the forecasts come from, for whoever reads marts.
-- Grain: one row per fit.
-- Reads: forecast.clv_model
-- Write: a view.
CREATE OR REPLACE VIEW marts.clv_model AS
SELECT
    clv_model.model_no,
    clv_model.as_of,
    clv_model.verdict,
    clv_model.customers,
    clv_model.repeat_customers,
    clv_model.r,
    clv_model.alpha,
    clv_model.a,
    clv_model.b,
    clv_model.log_likelihood,
    clv_model.iterations,
    clv_model.p,
    clv_model.q,
    clv_model.gamma,
    clv_model.value_log_likelihood,
    clv_model.value_iterations,
    clv_model.frequency_value_correlation,
    clv_model.seconds,
    clv_model.fitted_at
FROM forecast.clv_model;
COMMENT ON VIEW marts.clv_model IS 'Every fit of the two models: BG/NBD (how often, and whether still) and Gamma-Gamma (for how much). One row per fit, never changed.';
COMMENT ON COLUMN marts.clv_model.model_no IS 'Its number: the later fit has the higher one.';
COMMENT ON COLUMN marts.clv_model.as_of IS 'The last day that it knows of.';
COMMENT ON COLUMN marts.clv_model.verdict IS '"fitted", "fitted, without values: …" or "refused: …", with the reason; after a refusal there is no forecast, and customer_ltv stands alone.';
COMMENT ON COLUMN marts.clv_model.customers IS 'Customers with a paid order.';
COMMENT ON COLUMN marts.clv_model.repeat_customers IS 'Those of them who bought on two days or more.';
COMMENT ON COLUMN marts.clv_model.r IS 'BG/NBD: shape of the distribution of purchase rates. NULL where it was refused, like the next four.';
COMMENT ON COLUMN marts.clv_model.alpha IS 'BG/NBD: rate of that distribution, in weeks; r / alpha is the mean number of purchases a week while active.';
COMMENT ON COLUMN marts.clv_model.a IS 'BG/NBD: first parameter of the distribution of the chance to leave after a purchase.';
COMMENT ON COLUMN marts.clv_model.b IS 'BG/NBD: second parameter of it; a / (a + b) is the mean chance.';
COMMENT ON COLUMN marts.clv_model.log_likelihood IS 'BG/NBD: log-likelihood at these parameters.';
COMMENT ON COLUMN marts.clv_model.iterations IS 'BG/NBD: steps of the search.';
COMMENT ON COLUMN marts.clv_model.p IS 'Gamma-Gamma: shape of what one customer spends on a purchase. NULL where it was refused, like the next three.';
COMMENT ON COLUMN marts.clv_model.q IS 'Gamma-Gamma: shape of the distribution of the customers'' own means.';
COMMENT ON COLUMN marts.clv_model.gamma IS 'Gamma-Gamma: scale of that distribution, in the reporting currency; p × gamma / (q − 1) is the mean purchase.';
COMMENT ON COLUMN marts.clv_model.value_log_likelihood IS 'Gamma-Gamma: log-likelihood at these parameters.';
COMMENT ON COLUMN marts.clv_model.value_iterations IS 'Gamma-Gamma: steps of the search.';
COMMENT ON COLUMN marts.clv_model.frequency_value_correlation IS 'Correlation of frequency and monetary_value over repeat customers; Gamma-Gamma takes it to be about 0.';
COMMENT ON COLUMN marts.clv_model.seconds IS 'How long the fit took.';
COMMENT ON COLUMN marts.clv_model.fitted_at IS 'When.';
