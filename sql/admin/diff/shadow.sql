-- shadow: what `make diff` needs in the copies of the warehouse in which it runs the files; never in the warehouse.
-- Grain: one row per file in diff.measures.
-- Reads: nothing
-- Write: the schema diff.

CREATE SCHEMA diff;

CREATE TABLE diff.measures (
    task text NOT NULL PRIMARY KEY,
    plan_cost numeric NOT NULL DEFAULT 0,
    seconds numeric,
    rows_read bigint,
    rows_written bigint
);

-- The run of the last delivery, where that is delivered again.
CREATE TABLE diff.delivery (
    run_no integer NOT NULL PRIMARY KEY
);

CREATE TABLE diff.read_before (
    relation oid NOT NULL PRIMARY KEY,
    tuples bigint NOT NULL
);

-- As after every edit of the rules: everybody is computed again, and every check looks at everything.
UPDATE audit.runs SET fingerprint = '';

-- And the models are fitted again, whatever the last fit's age.
UPDATE forecast.clv_model
SET as_of = least(clv_model.as_of, freshness.as_of - assumptions.refit_after_days)
FROM marts.freshness
CROSS JOIN forecast.assumptions;

-- Add what the planner takes a statement to cost; one that has no plan costs nothing.
CREATE FUNCTION diff.look_ahead(task text, statement text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    plan json := '[]';
BEGIN
    IF
        regexp_replace(look_ahead.statement, '^(\s|--[^\n]*\n)+', '')
        ~* '^(with|select|insert|merge|update|delete|create (unlogged )?table)\M'
    THEN
        EXECUTE 'EXPLAIN (FORMAT JSON) ' || look_ahead.statement INTO plan;
    END IF;
    INSERT INTO diff.measures AS known (task, plan_cost)
    VALUES (look_ahead.task, coalesce((plan -> 0 -> 'Plan' ->> 'Total Cost')::numeric, 0))
    ON CONFLICT ON CONSTRAINT measures_pkey DO UPDATE SET plan_cost = known.plan_cost + excluded.plan_cost;
END $$;

-- Note how long a file took, what it wrote, and what it read since the last note, in every process that worked for it.
CREATE FUNCTION diff.look_back(task text, seconds double precision, rows_written bigint) RETURNS void
LANGUAGE sql VOLATILE
AS $$
    WITH now_read AS (
        SELECT
            tables.relid AS relation,
            tables.seq_tup_read + coalesce(tables.idx_tup_fetch, 0) AS tuples
        FROM pg_catalog.pg_stat_user_tables AS tables
        WHERE tables.schemaname <> 'diff'
    ),

    noted AS (
        MERGE INTO diff.read_before AS known
        USING now_read
            ON known.relation = now_read.relation
        WHEN MATCHED THEN UPDATE SET tuples = now_read.tuples
        WHEN NOT MATCHED BY SOURCE THEN DELETE
        WHEN NOT MATCHED BY TARGET THEN INSERT (relation, tuples) VALUES (now_read.relation, now_read.tuples)
        RETURNING merge_action() AS action, new.tuples - coalesce(old.tuples, 0) AS tuples
    )

    UPDATE diff.measures
    SET
        seconds = look_back.seconds,
        rows_written = look_back.rows_written,
        rows_read = (SELECT sum(noted.tuples) FROM noted WHERE noted.action <> 'DELETE')
    WHERE measures.task = look_back.task;
$$;

-- Whether two runs were delivered the same, whatever the files' names. Who has had a delivery loaded again has taken
-- its digests away: then by the sizes.
CREATE FUNCTION diff.is_same(one integer, other integer) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    WITH delivered AS (
        SELECT
            loads.run_no,
            array_agg(loads.source || ' ' || loads.bytes ORDER BY loads.source, loads.bytes) AS sizes,
            array_agg(loads.source || ' ' || loads.sha256 ORDER BY loads.source, loads.sha256) AS digests,
            bool_or(loads.sha256 = '') AS has_no_digests
        FROM audit.loads
        WHERE loads.run_no IN (is_same.one, is_same.other)
        GROUP BY loads.run_no
    )

    SELECT
        is_same.one = is_same.other
        OR count(*) = 2
        AND min(delivered.sizes) = max(delivered.sizes)
        AND (min(delivered.digests) = max(delivered.digests) OR bool_or(delivered.has_no_digests))
    FROM delivered
$$;

-- The run of the last delivery, where that was these files: by their sizes alone, or by their sha256 too, as
-- audit.same_delivery is asked. Who has had it loaded again has taken its digests away.
CREATE FUNCTION diff.run_of(bytes bigint[], sha256 text[]) RETURNS integer
LANGUAGE sql STABLE
AS $$
    SELECT loads.run_no
    FROM audit.loads
    WHERE loads.run_no = (SELECT max(latest.run_no) FROM audit.loads AS latest)
    GROUP BY loads.run_no
    HAVING
        array_agg(loads.bytes ORDER BY loads.bytes)
        = (SELECT array_agg(sizes.bytes ORDER BY sizes.bytes) FROM unnest(run_of.bytes) AS sizes (bytes))
        AND (
            run_of.sha256 IS NULL
            OR bool_or(loads.sha256 = '')
            OR array_agg(loads.sha256 ORDER BY loads.sha256)
            = (SELECT array_agg(digests.sha256 ORDER BY digests.sha256) FROM unnest(run_of.sha256) AS digests (sha256))
        )
$$;

-- Take a run's delivery back out of core, where it was the last one. Where the same files were loaded before, that run
-- has changed nothing: those before it are taken back too. What cannot be taken back stays.
CREATE FUNCTION diff.take_back(delivered integer) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    merged integer;
BEGIN
    FOR merged IN
        SELECT runs.run_no
        FROM audit.runs
        WHERE runs.state <> 'undone' AND EXISTS (SELECT FROM audit.ledger WHERE ledger.run_no = runs.run_no)
        ORDER BY runs.run_no DESC
    LOOP
        EXIT WHEN NOT diff.is_same(merged, delivered);
        BEGIN
            PERFORM audit.undo_run(merged, 'make diff', 'to deliver it again');
        EXCEPTION
            WHEN raise_exception THEN
                RAISE NOTICE 'core holds the last delivery already, and keeps it: %', sqlerrm;
                EXIT;
        END;
    END LOOP;
END $$;

-- Take back the last delivery, and return its run.
CREATE FUNCTION diff.take_back_the_last() RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    delivered constant integer := (SELECT max(loads.run_no) FROM audit.loads);
    flaw text;
BEGIN
    SELECT
        CASE
            WHEN EXISTS (SELECT FROM audit.runs WHERE runs.state = 'open')
                THEN 'a run is open: wait until it has ended'
            WHEN delivered IS NULL
                THEN 'the warehouse has had no delivery'
            WHEN bool_or(loads.same_as_run_no IS NOT NULL)
                THEN 'the last delivery equalled the one before it, and was not loaded again'
            WHEN count(DISTINCT loads.source) < (SELECT count(*) FROM audit.sources)
                THEN 'the last delivery did not come whole'
        END INTO flaw
    FROM audit.loads
    WHERE loads.run_no = delivered;
    IF flaw IS NOT NULL THEN
        RAISE EXCEPTION '%', flaw USING HINT = 'Name the files with DATA=<folder or URL>.';
    END IF;
    PERFORM diff.take_back(delivered);
    RETURN delivered;
END $$;

-- What raw holds is what the open run has been delivered.
CREATE FUNCTION diff.deliver_again(delivered integer) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM set_config('ltv.run_no', audit.run_no()::text, true);
    INSERT INTO audit.loads (
        run_no, source, file, bytes, sha256, first_line_no, records, loaded, extra_columns, seconds, declared, kind
    )
    SELECT
        audit.run_no(), loads.source, loads.file, loads.bytes, loads.sha256, loads.first_line_no, loads.records,
        loads.loaded, loads.extra_columns, loads.seconds, loads.declared, loads.kind
    FROM audit.loads
    WHERE loads.run_no = deliver_again.delivered;
    -- The lines that COPY did not take.
    UPDATE audit.rejected_rows
    SET last_run_no = audit.run_no()
    WHERE rejected_rows.last_run_no = deliver_again.delivered AND rejected_rows.line IS NOT NULL;
    PERFORM audit.leave_run('raw.' || loads.source, sum(loads.loaded)::bigint)
    FROM audit.loads
    WHERE loads.run_no = audit.run_no()
    GROUP BY loads.source;
END $$;
