-- audit.enter_run: make this transaction part of a run; refuse unless it is open, has not begun again since, and
-- has done what comes before the task.
CREATE OR REPLACE FUNCTION audit.enter_run(
    dag_run_id text, even_if_failed boolean DEFAULT false, attempt integer DEFAULT NULL, task text DEFAULT NULL,
    fingerprint text DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    entered audit.runs;
    missing text;
    built record;
    step audit.steps;
    stands boolean;
    from_begin constant text := 'Clear the run from its first task (begin), or start a new one.';
BEGIN
    -- KEY SHARE: begin_run (FOR UPDATE) waits for this task to end, fail_run (an UPDATE) does not.
    SELECT runs.* INTO entered
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
            USING HINT = from_begin;
    END IF;

    IF entered.attempt <> enter_run.attempt THEN
        RAISE EXCEPTION 'run % was begun again since (attempt %): this task belongs to attempt %',
            enter_run.dag_run_id, entered.attempt, enter_run.attempt
            USING HINT = 'Is a second Airflow at work on this warehouse?';
    END IF;

    -- Rules that change between two of its tasks would make one delivery of two kinds.
    IF entered.fingerprint <> enter_run.fingerprint THEN
        RAISE EXCEPTION 'the SQL files have changed since run % has begun', enter_run.dag_run_id
            USING HINT = from_begin;
    END IF;
    IF (
        SELECT count(DISTINCT deployments.fingerprint) > 1 FROM audit.deployments
        WHERE deployments.deployed_at >= entered.deployed_at
    ) THEN
        RAISE EXCEPTION 'other SQL was deployed since run % has begun', enter_run.dag_run_id
            USING HINT = from_begin;
    END IF;

    FOR built IN
        SELECT
            steps.task,
            to_regclass(steps.task) AS found
        FROM audit.steps
        WHERE
            steps.run_no = entered.run_no
            AND audit.is_rebuilt(steps.task)
            -- Those that fill raw read none of it, and would wait for each other.
            AND (enter_run.task LIKE 'raw.%' AND audit.is_rebuilt(enter_run.task)) IS NOT true
    LOOP
        stands := false;
        IF built.found IS NOT NULL THEN
            -- A look is a lock too: until this task has ended nobody makes the table anew.
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', built.found) INTO stands;
        END IF;
        -- Read now: to look may have been to wait for a task of this run.
        SELECT steps.* INTO step FROM audit.steps WHERE steps.run_no = entered.run_no AND steps.task = built.task;
        IF step.filenode <> coalesce(pg_relation_filenode(to_regclass(built.task)), 0) THEN
            RAISE EXCEPTION '% is not what this run has built: somebody has made it anew since, or dropped it', built.task
                USING HINT = from_begin;
        END IF;
        -- After a crash of the server an unlogged table comes back empty; that must not pass for an empty delivery.
        IF step.rows_written > 0 AND NOT stands THEN
            RAISE EXCEPTION '% is empty, though this run has filled it: the server has restarted since', built.task
                USING HINT = from_begin;
        END IF;
    END LOOP;

    -- What an earlier run has left must not pass for this delivery, nor what nobody has checked. Asked after the look,
    -- which may have waited for a task that makes something anew.
    missing := audit.undone_tasks(entered.run_no, enter_run.task);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION '% comes after what this run has not done: %', enter_run.task, missing
            USING HINT = from_begin;
    END IF;

    -- The SQL files are UTF-8, whatever the environment of whoever sends them says.
    PERFORM set_config('client_encoding', 'UTF8', true);
    -- Not by set_config: a SET LOCAL reaches the workers of a distributed warehouse too.
    EXECUTE format('SET LOCAL ltv.run_no = %L', entered.run_no);
    PERFORM set_config('ltv.task', coalesce(enter_run.task, ''), true);
    RETURN entered.run_no;
END $$;
COMMENT ON FUNCTION audit.enter_run(text, boolean, integer, text, text) IS 'Make this transaction part of a run; refuse unless that very run is open (for a check: or is the last and has failed), has not begun again since the given attempt, what comes before the task was done in it, and what it has built still stands (whoever fills raw reads none of that).';
