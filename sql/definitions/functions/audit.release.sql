-- audit.release: hold the lines that wait, and close those that waited: merged into core, or overtaken by a newer line.
CREATE OR REPLACE FUNCTION audit.release(source text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    PERFORM audit.refuse_unless_tried();
    PERFORM audit.set_aside(release.source, true);
    EXECUTE format(
        $sql$
        UPDATE audit.rejected_rows AS waited
        SET
            released_run_no = CASE WHEN tried.is_good THEN $2 END,
            superseded_run_no = CASE WHEN NOT tried.is_good THEN $2 END
        FROM (
            SELECT
                rejected_rows.rejected_row_id,
                staged.line_no IS NOT NULL AND staged.reason IS NULL AS is_good
            FROM audit.rejected_rows
            INNER JOIN audit.sources ON rejected_rows.source = sources.source
            LEFT JOIN staging.%I AS staged ON staged.line_no = -rejected_rows.rejected_row_id
            WHERE
                rejected_rows.source = $1
                AND rejected_rows.is_waiting
                -- What set_aside has just seen, in this transaction, still waits.
                AND rejected_rows.last_seen_at <> now()
                AND rejected_rows.released_run_no IS NULL
                AND rejected_rows.superseded_run_no IS NULL
                -- Corrected by hand since staging was built, it has not been tried.
                AND (staged.line_no IS NOT NULL OR (sources.kind = 'snapshot' AND rejected_rows.corrects_row_id IS NULL))
        ) AS tried
        WHERE waited.rejected_row_id = tried.rejected_row_id
        $sql$, (SELECT sources.entity FROM audit.sources WHERE sources.source = release.source)
    ) USING release.source, audit.run_no();
END $$;
COMMENT ON FUNCTION audit.release(text) IS 'Hold the lines that wait, and close those that waited: merged into core, or overtaken by a newer line.';
