-- audit.end_run: close a run as published.
CREATE OR REPLACE FUNCTION audit.end_run(dag_run_id text, attempt integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    begun integer;
    missing text;
BEGIN
    SELECT audit.undone_tasks(runs.run_no, 'end') INTO missing
    FROM audit.runs
    WHERE runs.dag_run_id = end_run.dag_run_id AND runs.state = 'open' AND runs.tasks IS NOT NULL
        AND runs.attempt = coalesce(end_run.attempt, runs.attempt);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'end comes after what this run has not done: %', missing
            USING HINT = 'Clear the run from its first task (begin), or start a new one.';
    END IF;
    UPDATE audit.runs
    SET state = 'published', ended_at = clock_timestamp()
    WHERE
        runs.dag_run_id = end_run.dag_run_id
        AND runs.state = 'open'
        AND runs.attempt = coalesce(end_run.attempt, runs.attempt);
    IF FOUND THEN
        PERFORM audit.delete_expired();
        RETURN;
    END IF;
    SELECT runs.attempt INTO begun FROM audit.runs WHERE runs.dag_run_id = end_run.dag_run_id;
    IF begun <> end_run.attempt THEN
        RAISE EXCEPTION 'run % was begun again since (attempt %): this task belongs to attempt %',
            end_run.dag_run_id, begun, end_run.attempt
            USING HINT = 'Is a second Airflow at work on this warehouse?';
    END IF;
    -- A retry after a connection lost at the commit finds its work done.
    IF NOT EXISTS (
        SELECT FROM audit.runs
        WHERE
            runs.dag_run_id = end_run.dag_run_id
            AND runs.state = 'published'
            AND runs.run_no = (SELECT max(last_run.run_no) FROM audit.runs AS last_run)
    ) THEN
        RAISE EXCEPTION 'run % is not open', end_run.dag_run_id
            USING HINT = 'Clear the run from its first task (begin), or start a new one.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.end_run(text, integer) IS 'Close a run as published; refuse unless it is open and has not begun again since the given attempt.';
