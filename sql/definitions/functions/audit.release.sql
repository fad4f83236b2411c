-- audit.release: hold the lines that wait, and close those that waited: merged into core, or overtaken by a newer line.
CREATE OR REPLACE FUNCTION audit.release(source text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    PERFORM audit.set_aside(release.source, true);
    EXECUTE format(
        $sql$
        UPDATE audit.rejected_rows AS waited
        SET
            released_run_no = CASE WHEN staged.reason IS NULL THEN $2 END,
            superseded_run_no = CASE WHEN staged.reason IS NOT NULL THEN $2 END
        FROM staging.%I AS staged
        WHERE
            staged.line_no < 0
            AND waited.rejected_row_id = -staged.line_no
            AND waited.source = $1
            AND waited.last_run_no < $2
            AND waited.released_run_no IS NULL
            AND waited.superseded_run_no IS NULL
        $sql$, (SELECT sources.entity FROM audit.sources WHERE sources.source = release.source)
    ) USING release.source, audit.run_no();
END $$;
COMMENT ON FUNCTION audit.release(text) IS 'Hold the lines that wait, and close those that waited: merged into core, or overtaken by a newer line.';
