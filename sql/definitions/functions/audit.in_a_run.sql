-- audit.in_a_run: whether this transaction has entered a run (audit.enter_run), or is an undo.
CREATE OR REPLACE FUNCTION audit.in_a_run() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('ltv.run_no', true), '') <> '';
COMMENT ON FUNCTION audit.in_a_run() IS 'Whether this transaction has entered a run (audit.enter_run), or is an undo; a person in psql has not.';
