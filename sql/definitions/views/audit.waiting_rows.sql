-- audit.waiting_rows: the rows that wait for their parent or their day and are tried again at the next run.
-- Grain: one row per row that waits.
-- Reads: audit.rejected_rows, audit.sources
-- Write: a view. A snapshot holds everything there is: what it no longer holds
-- does not wait either, unless a person has corrected it (audit.replay).
CREATE OR REPLACE VIEW audit.waiting_rows AS
SELECT
    rejected_rows.rejected_row_id,
    rejected_rows.source,
    rejected_rows.fields
FROM audit.rejected_rows
INNER JOIN audit.sources ON rejected_rows.source = sources.source
WHERE
    rejected_rows.is_waiting
    AND rejected_rows.released_run_no IS NULL
    AND rejected_rows.superseded_run_no IS NULL
    AND (sources.kind = 'delta' OR rejected_rows.corrects_row_id IS NOT NULL);
COMMENT ON VIEW audit.waiting_rows IS 'The rows that wait for their parent or their day and are tried again at the next run. One row per row that waits.';
COMMENT ON COLUMN audit.waiting_rows.rejected_row_id IS 'Its number in audit.rejected_rows; staging shows it as a line_no below 0.';
COMMENT ON COLUMN audit.waiting_rows.source IS 'The source that it came from.';
COMMENT ON COLUMN audit.waiting_rows.fields IS 'The fields as received. Personal data.';
