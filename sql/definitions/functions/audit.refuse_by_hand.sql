-- audit.refuse_by_hand: refuse to keep what a file of staging does that nobody runs in a run.
CREATE OR REPLACE FUNCTION audit.refuse_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF coalesce(current_setting('ltv.run_no', true), '') = '' THEN
        RAISE EXCEPTION 'a file is run by hand to try it, and this would change what run_no % says of %', new.run_no, new.file
            USING HINT = 'BEGIN first, then the file, look around, ROLLBACK.';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.refuse_by_hand() IS 'Refuse to keep what a file of staging does that nobody runs in a run.';
