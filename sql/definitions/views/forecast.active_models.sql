-- forecast.active_models: the fits that stand: not those to a delivery that has been undone since.
-- Grain: one row per fit.
-- Reads: forecast.clv_model, audit.runs
-- Write: a view.
CREATE OR REPLACE VIEW forecast.active_models AS
SELECT
    clv_model.model_no,
    clv_model.as_of,
    clv_model.r,
    clv_model.alpha,
    clv_model.a,
    clv_model.b,
    clv_model.p,
    clv_model.q,
    clv_model.gamma
FROM forecast.clv_model
WHERE
    NOT EXISTS (
        SELECT FROM audit.runs AS undone
        INNER JOIN audit.runs AS undoing
            -- An equation: whether each text is like each other one takes seconds after some years of runs.
            ON substring(undone.dag_run_id, ', undone by run ([0-9]+)$') = undoing.run_no::text
        WHERE
            undone.state = 'undone'
            AND undone.as_of <= clv_model.as_of
            AND undone.started_at < clv_model.fitted_at
            AND undoing.ended_at > clv_model.fitted_at
    );
COMMENT ON VIEW forecast.active_models IS 'The fits that stand: not those to a delivery that has been undone since. One row per fit.';
SELECT audit.copy_comments('forecast.clv_model', 'forecast.active_models') AS copied;
