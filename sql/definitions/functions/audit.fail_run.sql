-- audit.fail_run: close a run as failed, with its reason: what the failed check said, or else the error.
CREATE OR REPLACE FUNCTION audit.fail_run(
    dag_run_id text, task text, error text, attempt integer DEFAULT NULL
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
        AND runs.attempt = coalesce(fail_run.attempt, runs.attempt);
$$;
COMMENT ON FUNCTION audit.fail_run(text, text, text, integer) IS 'Close a run as failed, with its reason: what the failed check said, or else the error. Does nothing when it has begun again since the given attempt.';
