-- audit.run_no: the run that this transaction belongs to: the one entered, or by hand the open one, or else the last.
CREATE OR REPLACE FUNCTION audit.run_no() RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    nullif(current_setting('ltv.run_no', true), '')::integer,
    (
        SELECT runs.run_no FROM audit.runs
        ORDER BY (runs.state = 'open') DESC, runs.run_no DESC
        LIMIT 1
    )
);
COMMENT ON FUNCTION audit.run_no() IS 'The run that this transaction belongs to: the one entered, or by hand the open one, or else the last.';
