-- audit.enter_run: make this transaction part of a run; refuse unless it is open and what it built still stands.
CREATE OR REPLACE FUNCTION audit.enter_run(dag_run_id text, even_if_failed boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    entered integer;
    built text;
    stands boolean;
BEGIN
    -- KEY SHARE: begin_run (FOR UPDATE) waits for this task to end, fail_run (an UPDATE) does not.
    SELECT runs.run_no INTO entered
    FROM audit.runs
    WHERE
        runs.dag_run_id = enter_run.dag_run_id
        AND (
            runs.state = 'open'
            -- One failed check closes the run; the verdicts of the others are wanted all the same.
            OR (
                enter_run.even_if_failed
                AND runs.state = 'failed'
                AND runs.run_no = (SELECT max(last_run.run_no) FROM audit.runs AS last_run)
            )
        )
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % is not open', enter_run.dag_run_id
            USING HINT = 'Clear the run from its first task (begin), or start a new one.';
    END IF;

    -- After a crash of the server an unlogged table comes back empty; that must not pass for an empty delivery.
    FOR built IN
        SELECT steps.task FROM audit.steps
        WHERE
            steps.run_no = entered
            AND steps.rows_written > 0
            AND split_part(steps.task, '.', 1) IN ('raw', 'staging', 'intermediate')
    LOOP
        stands := false;
        IF to_regclass(built) IS NOT NULL THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', to_regclass(built)) INTO stands;
        END IF;
        IF NOT stands THEN
            RAISE EXCEPTION '% is empty, though this run has filled it: the server has restarted since', built
                USING HINT = 'Clear the run from its first task (begin), or start a new one.';
        END IF;
    END LOOP;

    PERFORM set_config('ltv.run_no', entered::text, true);
    RETURN entered;
END $$;
COMMENT ON FUNCTION audit.enter_run(text, boolean) IS 'Make this transaction part of a run; refuse unless that very run is open (for a check: or is the last and has failed) and what it built still stands.';
