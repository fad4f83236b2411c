-- audit.written_since: whether any run after a given one has written a row of core.
CREATE OR REPLACE FUNCTION audit.written_since(run_no integer) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT
        -- audit.held_since knows no such run: everything counts as written.
        written_since.run_no = 0
        OR EXISTS (
            SELECT FROM audit.ledger WHERE ledger.run_no > written_since.run_no AND ledger.rows_written > 0
        )
$$;
COMMENT ON FUNCTION audit.written_since(integer) IS 'Whether any run after a given one has written a row of core; after run 0 (audit.held_since knows none) always.';
