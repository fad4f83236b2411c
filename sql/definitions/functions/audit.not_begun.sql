-- audit.not_begun: what must be told of a DAG run that `begin` has refused: it never was a run of audit.runs.
CREATE OR REPLACE FUNCTION audit.not_begun(
    dag_run_id text, as_of text, due timestamp with time zone, error text
) RETURNS TABLE (subject text, body text)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT
        format('customer_ltv: not begun, as of %s', night.as_of) AS subject,
        audit.alert_body(
            what => 'a run was not begun: ' || audit.readers_see(),
            place => format('DAG run %s, task begin, as of %s', not_begun.dag_run_id, night.as_of),
            why => not_begun.error
        ) AS body
    FROM (
        -- As audit.begin_run finds it; the day is not cast, it may be what begin has refused.
        SELECT
            coalesce(
                nullif(not_begun.as_of, ''), ((not_begun.due AT TIME ZONE 'Africa/Kigali')::date - 1)::text
            ) AS as_of
    ) AS night
$$;
COMMENT ON FUNCTION audit.not_begun(text, text, timestamp with time zone, text) IS 'What must be told of a DAG run that begin has refused, given its sentence. One row.';
