-- marts.forecast_freshness: how old the forecast is, by which model, and what its checks have said.
-- Grain: one row; none before the first forecast.
-- Reads: forecast.publishes, forecast.clv_model, forecast.check_results, marts.freshness
-- Write: a view.
CREATE OR REPLACE VIEW marts.forecast_freshness AS
WITH published AS (
    SELECT
        publishes.as_of,
        publishes.published_at,
        publishes.model_no
    FROM forecast.publishes
    ORDER BY publishes.publish_no DESC
    LIMIT 1
),

last_fit AS (
    SELECT
        clv_model.as_of,
        clv_model.verdict
    FROM forecast.clv_model
    ORDER BY clv_model.model_no DESC
    LIMIT 1
),

checks AS (
    SELECT
        count(*) AS checks,
        count(*) FILTER (WHERE check_results.verdict <> 'passed') AS not_passed,
        string_agg(check_results.said, '; ' ORDER BY check_results.claim) FILTER (
            WHERE check_results.verdict <> 'passed'
        ) AS said
    FROM marts.freshness
    INNER JOIN forecast.check_results ON freshness.as_of = check_results.as_of
)

SELECT
    published.as_of,
    published.published_at,
    published.model_no,
    last_fit.as_of AS fitted_as_of,
    last_fit.verdict AS fit_verdict,
    checks.checks,
    checks.not_passed,
    checks.said,
    freshness.as_of - published.as_of AS days_behind
FROM published
CROSS JOIN checks
LEFT JOIN last_fit ON true
LEFT JOIN marts.freshness ON true;
COMMENT ON VIEW marts.forecast_freshness IS 'How old the forecast is, by which model, and what its checks have said of the published day. One row; none before the first forecast.';
COMMENT ON COLUMN marts.forecast_freshness.as_of IS 'The day from which the forecasts look ahead.';
COMMENT ON COLUMN marts.forecast_freshness.published_at IS 'When they were published; a forecast that changes nothing leaves it.';
COMMENT ON COLUMN marts.forecast_freshness.days_behind IS 'Days since, up to the published day of customer_ltv; 0 is in step, below 0 an undo waits for the next forecast.';
COMMENT ON COLUMN marts.forecast_freshness.model_no IS 'The fit that they come from; NULL where there was none.';
COMMENT ON COLUMN marts.forecast_freshness.fitted_as_of IS 'The day of the last fit, a refused one too.';
COMMENT ON COLUMN marts.forecast_freshness.fit_verdict IS 'What it said: fitted, or refused and why.';
COMMENT ON COLUMN marts.forecast_freshness.checks IS 'Checks that have judged the published day; 0: the forecast has not come so far.';
COMMENT ON COLUMN marts.forecast_freshness.not_passed IS 'Those that have warned or failed.';
COMMENT ON COLUMN marts.forecast_freshness.said IS 'What those have said.';
