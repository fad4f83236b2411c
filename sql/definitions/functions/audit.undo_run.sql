-- audit.undo_run: put core and marts back as they were before the last run that changed core.
CREATE OR REPLACE FUNCTION audit.undo_run(run_no integer, signed_by text, reason text) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    last_run audit.runs;
    undone audit.runs;
    published audit.runs;
    undoing integer;
    has_published boolean;
    has_other_columns boolean;
    entity text;
    key text;
BEGIN
    -- What came before in this transaction is no part of it.
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
    PERFORM audit.be_alone();
    SELECT runs.* INTO last_run FROM audit.runs ORDER BY runs.run_no DESC LIMIT 1 FOR UPDATE;
    IF last_run.state = 'open' THEN
        RAISE EXCEPTION 'run % is open: nothing can be undone beneath it', last_run.run_no
            USING HINT = 'Wait until it has ended; if its process is dead, close it by hand: '
            || 'SELECT audit.fail_run(dag_run_id, ''by hand'', ''why'') FROM audit.runs WHERE state = ''open''';
    END IF;
    SELECT runs.* INTO undone
    FROM audit.runs
    WHERE runs.state <> 'undone' AND EXISTS (SELECT FROM audit.ledger WHERE ledger.run_no = runs.run_no)
    ORDER BY runs.run_no DESC
    LIMIT 1;
    IF undone.run_no IS NULL THEN
        RAISE EXCEPTION 'no run is left that changed core and was not undone';
    END IF;
    IF undone.run_no IS DISTINCT FROM undo_run.run_no THEN
        RAISE EXCEPTION 'run % is not the last that changed core: that is run %', undo_run.run_no, undone.run_no
            USING HINT = 'Runs are undone one by one, the last one first.';
    END IF;
    IF undone.started_at < now() - audit.undo_kept_for() THEN
        RAISE EXCEPTION 'run % is older than %: what it replaced is no longer kept', undone.run_no, audit.undo_kept_for()
            USING HINT = 'Have the right files delivered, as snapshots if need be.';
    END IF;

    IF btrim(coalesce(undo_run.signed_by, '')) = '' OR btrim(coalesce(undo_run.reason, '')) = '' THEN
        RAISE EXCEPTION 'an undo is signed and has a reason';
    END IF;
    -- A run can have published and failed all the same, at a check on the mart or at its very end.
    has_published := EXISTS (SELECT FROM marts.freshness WHERE freshness.run_no = undone.run_no)
    OR EXISTS (SELECT FROM marts.customer_ltv_history WHERE customer_ltv_history.run_no = undone.run_no);

    -- What stood published before it, which is what will be published again.
    SELECT runs.* INTO published
    FROM audit.runs
    WHERE
        runs.run_no < undone.run_no
        AND runs.state <> 'undone'
        AND (
            runs.state = 'published'
            -- One that has published, and failed all the same.
            OR EXISTS (SELECT FROM marts.customer_ltv_history WHERE customer_ltv_history.run_no = runs.run_no)
        )
    ORDER BY runs.run_no DESC
    LIMIT 1;
    INSERT INTO audit.runs (dag_run_id, as_of, state, reason, fingerprint, ended_at)
    VALUES (
        format('undo of run %s at %s', undone.run_no, clock_timestamp()),
        coalesce(published.as_of, undone.as_of),
        CASE WHEN has_published THEN 'published' ELSE 'failed' END,
        format('undid run %s, signed by %s: %s', undone.run_no, undo_run.signed_by, undo_run.reason),
        -- The next run finds the rules of before, and computes everybody again if they have changed.
        coalesce(published.fingerprint, ''),
        clock_timestamp()
    )
    RETURNING runs.run_no INTO undoing;
    UPDATE audit.runs
    SET
        state = 'undone',
        -- Its name is free: the same night can begin again.
        dag_run_id = format('%s, undone by run %s', runs.dag_run_id, undoing),
        reason = format('undone by run %s, signed by %s: %s', undoing, undo_run.signed_by, undo_run.reason)
    WHERE runs.run_no = undone.run_no;
    -- Not by set_config: a SET LOCAL reaches the workers of a distributed warehouse too.
    EXECUTE format('SET LOCAL ltv.run_no = %L', undoing);
    SET LOCAL ltv.keeps_nothing = 'on';

    FOR entity, key IN VALUES
        ('customers', 'customer_id'), ('orders', 'order_id'), ('payments', 'payment_id'), ('customer_activity', 'customer_id')
    LOOP
        -- A migration since then: what was kept is no longer a row of the table.
        EXECUTE format(
            $sql$
            SELECT EXISTS (
                SELECT kept.replaced
                FROM (
                    SELECT replaced_rows.replaced FROM audit.replaced_rows
                    WHERE replaced_rows.run_no = $1 AND replaced_rows.table_name = 'core.%1$s'
                    LIMIT 1
                ) AS kept
                WHERE
                    (SELECT array_agg(kept_column.name ORDER BY kept_column.name) FROM jsonb_object_keys(kept.replaced) AS kept_column (name))
                    <> (
                        SELECT array_agg(columns.attname::text ORDER BY columns.attname::text)
                        FROM pg_catalog.pg_attribute AS columns
                        WHERE columns.attrelid = 'core.%1$s'::regclass AND columns.attnum > 0 AND NOT columns.attisdropped
                    )
            )
            $sql$, entity
        ) INTO has_other_columns USING undone.run_no;
        IF has_other_columns THEN
            RAISE EXCEPTION 'core.% has other columns than when run % replaced its rows: it cannot be undone', entity, undone.run_no
                USING HINT = 'Have the right files delivered, as snapshots if need be.';
        END IF;
        -- By the keys too: a row that was changed by hand since has kept its run_no.
        EXECUTE format(
            $sql$
            DELETE FROM core.%1$I
            WHERE
                run_no = $1
                OR %2$I IN (
                    SELECT replaced_rows.key FROM audit.replaced_rows
                    WHERE replaced_rows.run_no = $1 AND replaced_rows.table_name = 'core.%1$s'
                )
            $sql$, entity, key
        ) USING undone.run_no;
        EXECUTE format(
            $sql$
            INSERT INTO core.%1$I
            SELECT before.*
            FROM audit.replaced_rows
            CROSS JOIN LATERAL jsonb_populate_record(NULL::core.%1$I, replaced_rows.replaced) AS before
            WHERE replaced_rows.run_no = $1 AND replaced_rows.table_name = 'core.%1$s'
            $sql$, entity
        ) USING undone.run_no;
    END LOOP;

    -- Its tasks, and those of a run before it that failed, may have computed some customers and not others.
    INSERT INTO core.stale_customers (customer_id)
    SELECT customers.customer_id FROM core.customers
    ON CONFLICT (customer_id) DO NOTHING;
    INSERT INTO core.changed_customers (run_no, customer_id)
    VALUES (undoing, NULL);

    -- What it held waiting came with the wrong delivery; what it released or replaced waits again.
    UPDATE audit.rejected_rows
    SET superseded_run_no = undoing
    WHERE
        rejected_rows.first_run_no = undone.run_no
        AND rejected_rows.is_waiting
        -- A correction is a person's, not the delivery's.
        AND rejected_rows.corrects_row_id IS NULL
        AND rejected_rows.released_run_no IS NULL
        AND rejected_rows.superseded_run_no IS NULL;
    UPDATE audit.rejected_rows
    SET released_run_no = NULL, superseded_run_no = NULL
    WHERE rejected_rows.rejected_row_id IN (
        -- Of equal rows one is enough: the latest, or the one that waits already.
        SELECT max(closed.rejected_row_id)
        FROM audit.rejected_rows AS closed
        WHERE
            undone.run_no IN (closed.released_run_no, closed.superseded_run_no)
            AND closed.is_waiting
            AND closed.closed_by IS NULL
            -- A correction is a person's, whichever run has seen the row first.
            AND (closed.first_run_no < undone.run_no OR closed.corrects_row_id IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM audit.rejected_rows AS twin
                WHERE
                    twin.source = closed.source
                    AND twin.row_hash = closed.row_hash
                    AND twin.released_run_no IS NULL
                    AND twin.superseded_run_no IS NULL
            )
        GROUP BY closed.source, closed.row_hash
    );

    IF has_published THEN
        PERFORM marts.publish_again(undone.run_no);
    END IF;
    -- It cannot be undone again.
    DELETE FROM audit.replaced_rows WHERE replaced_rows.run_no = undone.run_no;
    SET LOCAL ltv.keeps_nothing = '';
    -- What follows in this transaction is no part of it.
    SET CONSTRAINTS ALL IMMEDIATE;
    SET LOCAL ltv.run_no = '';
    SET CONSTRAINTS ALL DEFERRED;
    RETURN undoing;
END $$;
COMMENT ON FUNCTION audit.undo_run(integer, text, text) IS 'Put core and marts back as they were before the last run that changed core; return the number under which this is noted in audit.runs.';
