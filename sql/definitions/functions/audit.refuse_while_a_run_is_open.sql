-- audit.refuse_while_a_run_is_open: refuse what a person does beside a run; none begins until the transaction ends.
CREATE OR REPLACE FUNCTION audit.refuse_while_a_run_is_open(why text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    PERFORM audit.be_alone();
    IF EXISTS (SELECT FROM audit.runs WHERE runs.state = 'open') THEN
        RAISE EXCEPTION 'a run is open: %', why
            USING HINT = 'Wait until it has ended.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.refuse_while_a_run_is_open(text) IS 'Refuse what a person does beside an open run, and say why; until the end of the transaction no run begins.';
