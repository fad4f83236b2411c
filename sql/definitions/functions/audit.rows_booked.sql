-- audit.rows_booked: how many rows a table of core has by what this run found and changed.
CREATE OR REPLACE FUNCTION audit.rows_booked(table_name text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT ledger.rows_before + ledger.rows_change
    FROM audit.ledger
    WHERE ledger.run_no = (SELECT audit.run_no()) AND ledger.table_name = rows_booked.table_name
$$;
COMMENT ON FUNCTION audit.rows_booked(text) IS 'How many rows a table of core has by what this run found and changed (audit.ledger); NULL if it has not come to it.';
