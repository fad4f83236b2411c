-- audit.book: add a change to what this run did to a table of core.
CREATE OR REPLACE FUNCTION audit.book(
    table_name text, rows_written bigint, rows_change bigint, amount_change numeric
) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    SELECT audit.refuse_unless_tried();
    UPDATE audit.ledger
    SET
        rows_written = ledger.rows_written + book.rows_written,
        rows_change = ledger.rows_change + book.rows_change,
        amount_change = ledger.amount_change + coalesce(book.amount_change, 0)
    WHERE ledger.run_no = audit.run_no() AND ledger.table_name = book.table_name;
$$;
COMMENT ON FUNCTION audit.book(text, bigint, bigint, numeric) IS 'Add a change, in rows and in amount, to what this run did to a table of core.';
