-- forecast.assumptions: what the forecast takes for granted: every figure that is somebody's choice, once.
-- Grain: one row.
-- Reads: nothing
-- Write: a view; edit the figures here.
CREATE OR REPLACE VIEW forecast.assumptions AS
SELECT
    100 AS min_repeat_customers,
    7 AS refit_after_days,
    91 AS judged_after_days,
    0.25 AS max_miss,
    0.10::double precision AS yearly_discount,
    365.25::double precision / 7 AS weeks_a_year,
    4 * 7 AS risk_seen_over_days,
    10 / 100.0 AS min_fall,
    4 * 7 AS min_days_known;
COMMENT ON VIEW forecast.assumptions IS 'What the forecast takes for granted: every figure that is somebody''s choice. One row.';
COMMENT ON COLUMN forecast.assumptions.min_repeat_customers IS 'Customers who bought on two days or more, below which no model is fitted.';
COMMENT ON COLUMN forecast.assumptions.refit_after_days IS 'Days after which the models are fitted again.';
COMMENT ON COLUMN forecast.assumptions.judged_after_days IS 'Days after which a model is compared with what has happened since.';
COMMENT ON COLUMN forecast.assumptions.max_miss IS 'How far, as a share of what has happened, a forecast may be off without a warning.';
COMMENT ON COLUMN forecast.assumptions.yearly_discount IS 'What an amount in a year is worth less, as a rate: 0.10 makes 110 of then 100 of now.';
COMMENT ON COLUMN forecast.assumptions.weeks_a_year IS 'Weeks in 12 months.';
COMMENT ON COLUMN forecast.assumptions.risk_seen_over_days IS 'With the forecast of so many days ago marts.customers_at_risk compares.';
COMMENT ON COLUMN forecast.assumptions.min_fall IS 'By how much p_alive has fallen at least of whoever is in marts.customers_at_risk.';
COMMENT ON COLUMN forecast.assumptions.min_days_known IS 'Days since anybody''s first purchase, below which no model is fitted.';
