-- audit.refuse_outside_of_runs: refuse what somebody writes into a distributed table who is in no run: a worker cannot
-- note it, nor see whether one is open.
CREATE OR REPLACE FUNCTION audit.refuse_outside_of_runs() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF
        coalesce(current_setting('ltv.run_no', true), '') <> ''
        OR current_setting('ltv.keeps_nothing', true) = 'on'
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '%.% is distributed: only runs write it', TG_TABLE_SCHEMA, regexp_replace(TG_TABLE_NAME, '_[0-9]+$', '')
        USING HINT = 'Have it delivered. audit.undo_run and core.forget_customer may: BEGIN before them, COMMIT behind.';
END $$;
COMMENT ON FUNCTION audit.refuse_outside_of_runs() IS 'Refuse what somebody writes into a distributed table who is in no run: a worker cannot note it, nor see whether a run is open.';
