-- audit.delete_expired: delete what is kept for a time only. The times stand here, and in audit.undo_kept_for.
CREATE OR REPLACE FUNCTION audit.delete_expired() RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    -- They hold personal data. A row that waits is still to come.
    DELETE FROM audit.rejected_rows
    WHERE
        rejected_rows.last_seen_at < now() - INTERVAL '90 days'
        AND NOT (
            rejected_rows.is_waiting
            AND rejected_rows.released_run_no IS NULL
            AND rejected_rows.superseded_run_no IS NULL
        );
    DELETE FROM audit.hand_writes WHERE hand_writes.written_at < now() - INTERVAL '1 year';
    DELETE FROM audit.replaced_rows
    USING audit.runs
    WHERE replaced_rows.run_no = runs.run_no AND runs.started_at < now() - audit.undo_kept_for();
$$;
COMMENT ON FUNCTION audit.delete_expired() IS 'Delete what is kept for a time only: rejected lines, who wrote by hand, and what a run replaced. Called when a run ends.';
