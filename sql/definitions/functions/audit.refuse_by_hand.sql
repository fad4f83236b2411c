-- audit.refuse_by_hand: refuse to keep what a file did that somebody has run outside of a run.
CREATE OR REPLACE FUNCTION audit.refuse_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF NOT audit.in_a_run() THEN
        RAISE EXCEPTION 'a file is run by hand to try it: this would change what %.% says of run_no %',
            TG_TABLE_SCHEMA, TG_TABLE_NAME, new.run_no
            USING HINT = 'BEGIN first, then the file, look around, ROLLBACK.';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.refuse_by_hand() IS 'Refuse to keep what a file did that somebody has run outside of a run.';
