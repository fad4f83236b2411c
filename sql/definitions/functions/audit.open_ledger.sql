-- audit.open_ledger: note what a table of core holds before this run changes it.
CREATE OR REPLACE FUNCTION audit.open_ledger(table_name text, rows_before bigint, amount_before numeric) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    SELECT audit.refuse_unless_tried();
    INSERT INTO audit.ledger (run_no, table_name, rows_before, amount_before)
    VALUES (audit.run_no(), open_ledger.table_name, open_ledger.rows_before, coalesce(open_ledger.amount_before, 0))
    ON CONFLICT (run_no, table_name) DO NOTHING;
$$;
COMMENT ON FUNCTION audit.open_ledger(text, bigint, numeric) IS 'Note what a table of core holds before this run changes it; a retry leaves the first note.';
