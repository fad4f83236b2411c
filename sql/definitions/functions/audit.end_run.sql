-- audit.end_run: close a run as published.
CREATE OR REPLACE FUNCTION audit.end_run(dag_run_id text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    UPDATE audit.runs
    SET state = 'published', ended_at = clock_timestamp()
    WHERE runs.dag_run_id = end_run.dag_run_id AND runs.state = 'open';
    IF FOUND THEN
        PERFORM audit.delete_expired();
        RETURN;
    END IF;
    -- A retry after a connection lost at the commit finds its work done.
    IF NOT EXISTS (
        SELECT FROM audit.runs WHERE runs.dag_run_id = end_run.dag_run_id AND runs.state = 'published'
    ) THEN
        RAISE EXCEPTION 'run % is not open', end_run.dag_run_id
            USING HINT = 'Clear the run from its first task (begin), or start a new one.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.end_run(text) IS 'Close a run as published.';
