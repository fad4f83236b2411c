-- audit.begin_run: open a run, or open it again; refuse with a sentence what must not run; return the attempt.
CREATE OR REPLACE FUNCTION audit.begin_run(
    dag_run_id text, as_of text, due timestamp with time zone, deployed text, fingerprint text,
    tasks text[] DEFAULT NULL, files jsonb DEFAULT '{}',
    dag_run_started_at timestamp with time zone DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    today constant date := (clock_timestamp() AT TIME ZONE 'Africa/Kigali')::date;
    -- Without an as_of of its own a run looks at the last complete day before it was due.
    day constant date := coalesce(
        nullif(begin_run.as_of, '')::date, (begin_run.due AT TIME ZONE 'Africa/Kigali')::date - 1
    );
    published_as_of date;
    taken_as_of date;
    last_run audit.runs;
    last_night audit.runs;
    begun audit.runs;
    deployment audit.deployments;
    missing_nights text;
    writer text;
BEGIN
    SELECT deployments.* INTO deployment FROM audit.deployments ORDER BY deployments.deployed_at DESC LIMIT 1;
    IF begin_run.deployed IS DISTINCT FROM deployment.fingerprint THEN
        RAISE EXCEPTION 'the warehouse is not at the version of sql/migrations and sql/definitions that this DAG has'
            USING HINT = 'Deploy them with: make migrate';
    END IF;
    IF day > today THEN
        RAISE EXCEPTION 'as_of % is in the future: today is %', day, today
            USING HINT = 'Start the run with an as_of of today or before.';
    END IF;
    -- What somebody has begun to write (audit.refuse_beside_a_run) must not be committed between two tasks.
    SELECT format('process %s is writing %s', written.pid, min(written.relation::regclass::text)) INTO writer
    FROM pg_catalog.pg_locks AS shared
    INNER JOIN pg_catalog.pg_locks AS written
        ON shared.pid = written.pid AND written.locktype = 'relation' AND written.mode = 'RowExclusiveLock'
    INNER JOIN pg_catalog.pg_class AS tables
        ON
            written.relation = tables.oid
            AND tables.relkind = 'r'
            AND tables.relnamespace::regnamespace::text IN ('core', 'marts')
    WHERE
        shared.locktype = 'advisory'
        AND shared.mode = 'ShareLock'
        AND shared.granted
        AND shared.classid::bigint << 32 | shared.objid::bigint = audit.begin_lock()
        AND shared.database = written.database
        AND shared.pid <> pg_backend_pid()
    GROUP BY written.pid
    LIMIT 1;
    IF writer IS NOT NULL THEN
        RAISE EXCEPTION '%: a run begins when that has ended', writer USING ERRCODE = 'lock_not_available';
    END IF;
    -- Two that begin at once do so one after the other.
    PERFORM audit.be_alone();
    -- Waits for tasks of the last run that still work: they hold its row (audit.enter_run).
    SELECT runs.* INTO last_run FROM audit.runs ORDER BY runs.run_no DESC LIMIT 1 FOR UPDATE;

    SELECT freshness.as_of INTO published_as_of FROM marts.freshness;
    IF day < published_as_of THEN
        RAISE EXCEPTION 'as_of % is before %, the last day published', day, published_as_of
            USING HINT = format(
                'The past is in marts.customer_ltv_history. Start a run with as_of %s or later, or use an empty warehouse.',
                published_as_of
            );
    END IF;
    SELECT max(runs.as_of) INTO taken_as_of
    FROM audit.runs
    WHERE runs.state <> 'undone' AND EXISTS (SELECT FROM audit.ledger WHERE ledger.run_no = runs.run_no);
    IF day < taken_as_of THEN
        RAISE EXCEPTION 'as_of % is before %, a day that core knows already, though it was not published', day, taken_as_of
            USING HINT = format('Start a run with as_of %s or later, or use an empty warehouse.', taken_as_of);
    END IF;

    INSERT INTO audit.sql_files (fingerprint, file, sha256)
    SELECT
        begin_run.fingerprint,
        sql_file.key,
        sql_file.value
    FROM jsonb_each_text(begin_run.files) AS sql_file
    ON CONFLICT DO NOTHING;

    -- A rule that has changed holds for every customer, not only for those whose rows this delivery changes; and what
    -- somebody has written by hand may be anybody's.
    IF
        last_run.fingerprint <> begin_run.fingerprint
        OR audit.written_by_hand_since(last_run.run_no)
    THEN
        INSERT INTO core.stale_customers (customer_id)
        SELECT customers.customer_id FROM core.customers
        UNION
        SELECT customer_activity.customer_id FROM core.customer_activity
        ON CONFLICT (customer_id) DO NOTHING;
    END IF;

    -- What a night delivered as a delta, and core never took, is missing from here on.
    SELECT 'without what was delivered for ' || string_agg(DISTINCT missed.as_of::text, ', ')
        || ', unless it came with this delivery' INTO missing_nights
    FROM audit.runs AS missed
    WHERE
        missed.as_of < day
        AND missed.as_of > coalesce(published_as_of, '-infinity')
        AND NOT EXISTS (
            SELECT
            FROM audit.runs AS taken
            INNER JOIN audit.ledger ON taken.run_no = ledger.run_no AND ledger.table_name = 'core.payments'
            WHERE taken.as_of = missed.as_of AND taken.state <> 'undone'
        )
        AND EXISTS (SELECT FROM audit.sources WHERE sources.kind = 'delta');
    IF missing_nights IS NOT NULL THEN
        RAISE WARNING 'this run goes on %', missing_nights
            USING HINT = 'Put those files beside the next ones, all renamed to numbered parts, the missed ones first: order_data_1.csv, order_data_2.csv.';
    END IF;

    IF last_run.dag_run_id = begin_run.dag_run_id THEN
        IF last_run.as_of <> day THEN
            RAISE EXCEPTION 'run % has begun with as_of %, not %', dag_run_id, last_run.as_of, day
                USING HINT = 'Start a new run.';
        END IF;
        IF last_run.state NOT IN ('open', 'failed') THEN
            RAISE EXCEPTION 'run % is %: it cannot begin again', dag_run_id, last_run.state
                USING HINT = 'Start a new run.';
        END IF;
        UPDATE audit.runs
        SET
            state = 'open', reason = missing_nights, ended_at = NULL, fingerprint = begin_run.fingerprint,
            attempt = runs.attempt + 1, deployed_at = deployment.deployed_at,
            tasks = begin_run.tasks, dag_run_started_at = begin_run.dag_run_started_at
        WHERE runs.run_no = last_run.run_no;
        -- It starts from its first task: nothing that an earlier try built is taken for granted.
        DELETE FROM audit.steps WHERE steps.run_no = last_run.run_no;
        DELETE FROM audit.check_results WHERE check_results.run_no = last_run.run_no;
        RETURN last_run.attempt + 1;
    END IF;

    IF EXISTS (SELECT FROM audit.runs WHERE runs.dag_run_id = begin_run.dag_run_id) THEN
        RAISE EXCEPTION 'run % cannot begin again: run % has begun since', dag_run_id, last_run.dag_run_id
            USING HINT = 'Start a new run.';
    END IF;
    SELECT runs.* INTO last_night
    FROM audit.runs
    WHERE runs.dag_run_id NOT LIKE 'undo of run %'
    ORDER BY runs.run_no DESC
    LIMIT 1;
    -- Airflow goes on to the next night of a backfill; once that is published, what this one lacked is lost.
    IF
        begin_run.dag_run_id LIKE 'backfill\_\_%'
        AND last_night.dag_run_id LIKE 'backfill\_\_%'
        AND last_night.state <> 'published'
        AND split_part(last_night.dag_run_id, ', undone', 1) <> begin_run.dag_run_id
    THEN
        RAISE EXCEPTION 'run % is %: the nights after it wait for it', last_night.dag_run_id, last_night.state
            USING HINT = 'Mend it, then create the backfill again with --reprocess-behavior failed.';
    END IF;
    IF last_run.state = 'open' THEN
        UPDATE audit.runs
        SET
            state = 'abandoned',
            reason = format('run %s began before this one had ended', begin_run.dag_run_id),
            ended_at = clock_timestamp()
        WHERE runs.run_no = last_run.run_no;
        RAISE NOTICE 'run % had not ended: it is abandoned', last_run.dag_run_id;
    END IF;
    INSERT INTO audit.runs (
        dag_run_id, as_of, fingerprint, deployed_at, tasks, dag_run_started_at, reason, attempt
    )
    VALUES (
        begin_run.dag_run_id, day, begin_run.fingerprint, deployment.deployed_at, begin_run.tasks,
        begin_run.dag_run_started_at, missing_nights,
        -- One that was undone had the name before.
        1 + coalesce((
            SELECT max(runs.attempt) FROM audit.runs
            WHERE split_part(runs.dag_run_id, ', undone', 1) = begin_run.dag_run_id
        ), 0)
    )
    RETURNING runs.* INTO begun;
    RAISE NOTICE 'run_no %, as of %', begun.run_no, day;
    RETURN begun.attempt;
END $$;
COMMENT ON FUNCTION audit.begin_run(text, text, timestamp with time zone, text, text, text[], jsonb, timestamp with time zone) IS 'Open a run, or open it again; refuse with a sentence what must not run. Returns the attempt: how often it has begun.';
