-- audit.as_of: the last complete day that this run looks at.
CREATE OR REPLACE FUNCTION audit.as_of() RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT runs.as_of FROM audit.runs WHERE runs.run_no = audit.run_no()
$$;
COMMENT ON FUNCTION audit.as_of() IS 'The last complete day that this run looks at.';
