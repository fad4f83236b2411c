-- audit.give_up: close a row that waits for what will never come; who signs for it, and why, is kept.
CREATE OR REPLACE FUNCTION audit.give_up(rejected_row_id bigint, signed_by text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF btrim(coalesce(give_up.signed_by, '')) = '' OR btrim(coalesce(give_up.reason, '')) = '' THEN
        RAISE EXCEPTION 'a row is given up with a signature and a reason';
    END IF;
    PERFORM audit.refuse_while_a_run_is_open('it may be trying the row');
    UPDATE audit.rejected_rows
    SET
        superseded_run_no = (SELECT max(runs.run_no) FROM audit.runs),
        closed_by = format('given up by %s: %s', btrim(give_up.signed_by), btrim(give_up.reason))
    WHERE
        rejected_rows.rejected_row_id = give_up.rejected_row_id
        AND rejected_rows.is_waiting
        AND rejected_rows.released_run_no IS NULL
        AND rejected_rows.superseded_run_no IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no row % waits', give_up.rejected_row_id
            USING HINT = 'Those that do: TABLE audit.waiting_rows.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.give_up(bigint, text, text) IS 'Close a row that waits for what will never come; who signs for it, and why, is kept with it. Delivered again, it waits again.';
