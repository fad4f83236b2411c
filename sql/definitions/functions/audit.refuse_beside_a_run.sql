-- audit.refuse_beside_a_run: refuse what somebody writes beside an open run; note what somebody writes outside of any.
CREATE OR REPLACE FUNCTION audit.refuse_beside_a_run() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    open_run audit.runs;
BEGIN
    IF audit.in_a_run() THEN
        RETURN NULL;
    END IF;
    PERFORM audit.refuse_old_snapshots();
    -- One that is beginning is waited for; and none begins before this is committed.
    PERFORM pg_advisory_xact_lock_shared(audit.begin_lock());
    SELECT runs.* INTO open_run FROM audit.runs WHERE runs.state = 'open';
    IF FOUND THEN
        RAISE EXCEPTION 'run % is open: nobody else writes %.%', open_run.dag_run_id, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING HINT = 'Wait until it has ended; if its process is dead, close it by hand: '
            || 'SELECT audit.fail_run(dag_run_id, ''by hand'', ''why'') FROM audit.runs WHERE state = ''open''';
    END IF;
    -- A migration says so; and who erases a customer sees to it that everything ties.
    IF TG_TABLE_SCHEMA IN ('core', 'marts') AND current_setting('ltv.keeps_nothing', true) IS DISTINCT FROM 'on' THEN
        -- Nobody corrects these by hand: they are computed, and readers would see what no check has seen.
        IF TG_TABLE_SCHEMA = 'marts' OR TG_TABLE_NAME = 'customer_activity' THEN
            PERFORM audit.refuse_unless_tried();
        END IF;
        INSERT INTO audit.hand_writes (run_no, table_name)
        VALUES (audit.run_no(), TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.refuse_beside_a_run() IS 'Refuse what somebody writes who is not in the run that is open; note in audit.hand_writes what somebody writes in core or marts while none is.';
