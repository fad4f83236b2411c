-- audit.fail_run: close a run as failed, with its reason: what the failed check said, or else the error.
CREATE OR REPLACE FUNCTION audit.fail_run(
    dag_run_id text, task text, error text, attempt integer DEFAULT NULL,
    dag_run_started_at timestamp with time zone DEFAULT NULL
) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    UPDATE audit.runs
    SET
        state = 'failed',
        reason = coalesce(
            (
                SELECT check_results.said
                FROM audit.check_results
                WHERE
                    check_results.run_no = runs.run_no
                    AND check_results.claim = fail_run.task
                    AND check_results.verdict = 'failed'
            ),
            fail_run.task || ': ' || fail_run.error
        ),
        ended_at = clock_timestamp()
    WHERE
        runs.dag_run_id = fail_run.dag_run_id
        AND runs.state = 'open'
        -- Of a run that has begun again since, the task is no part.
        AND runs.attempt = coalesce(fail_run.attempt, runs.attempt)
        AND (fail_run.dag_run_started_at IS NULL OR runs.dag_run_started_at = fail_run.dag_run_started_at);
$$;
COMMENT ON FUNCTION audit.fail_run(text, text, text, integer, timestamp with time zone) IS 'Close a run as failed, with its reason: what the failed check said, or else the error. Does nothing when it has begun again since the given attempt, or by another start of its DAG run than the given one.';
