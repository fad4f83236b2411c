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
SELECT audit.copy_comments('forecast.clv_model', 'marts.clv_model') AS copied;
