-- audit.refuse_beside_a_run: refuse what somebody writes who is not in the run that is open.
CREATE OR REPLACE FUNCTION audit.refuse_beside_a_run() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    open_run audit.runs;
BEGIN
    IF coalesce(current_setting('ltv.run_no', true), '') = '' THEN
        SELECT runs.* INTO open_run FROM audit.runs WHERE runs.state = 'open';
        IF FOUND THEN
            RAISE EXCEPTION 'run % is open: nobody else writes %.%', open_run.dag_run_id, TG_TABLE_SCHEMA, TG_TABLE_NAME
                USING HINT = 'Wait until it has ended; if its process is dead, close it by hand: '
                || 'SELECT audit.fail_run(dag_run_id, ''by hand'', ''why'') FROM audit.runs WHERE state = ''open''';
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.refuse_beside_a_run() IS 'Refuse what somebody writes who is not in the run that is open.';
