-- audit.rejections_today: what the last run set aside, by file, column and rule, with an example.
-- Grain: one row per file and rule.
-- Reads: audit.rejected_rows, audit.runs
-- Write: a view. It looks at the run of its transaction, or by hand at the open or the last one, an undo aside.
CREATE OR REPLACE VIEW audit.rejections_today AS
SELECT
    rejected_rows.file,
    rejected_rows.column_name,
    rejected_rows.rule,
    count(*) AS rows_set_aside,
    count(*) FILTER (WHERE rejected_rows.first_run_no = rejected_rows.last_run_no) AS seen_first_today,
    min(rejected_rows.line_no) AS first_line_no,
    (array_agg(rejected_rows.rejected_row_id ORDER BY rejected_rows.line_no))[1] AS example_row_id,
    (array_agg(rejected_rows.reason ORDER BY rejected_rows.line_no))[1] AS example_reason,
    (array_agg(coalesce(rejected_rows.line, rejected_rows.fields::text) ORDER BY rejected_rows.line_no))[1] AS example
FROM audit.rejected_rows
WHERE
    rejected_rows.last_run_no = (
        SELECT max(runs.run_no)
        FROM audit.runs
        WHERE runs.run_no <= (SELECT audit.run_no()) AND runs.dag_run_id NOT LIKE 'undo of run %'
    )
    AND rejected_rows.released_run_no IS NULL
    AND rejected_rows.superseded_run_no IS NULL
GROUP BY rejected_rows.file, rejected_rows.column_name, rejected_rows.rule;
COMMENT ON VIEW audit.rejections_today IS 'What the last run set aside, by file, column and rule, with an example; corrections that a rule refused, too, which audit.loads does not count. One row per file and rule.';
COMMENT ON COLUMN audit.rejections_today.file IS 'The file.';
COMMENT ON COLUMN audit.rejections_today.column_name IS 'The column at fault; "line" where the line is no record.';
COMMENT ON COLUMN audit.rejections_today.rule IS 'The rule that refused them, or for which they wait.';
COMMENT ON COLUMN audit.rejections_today.rows_set_aside IS 'Different rows set aside.';
COMMENT ON COLUMN audit.rejections_today.seen_first_today IS 'Those of them that no earlier run has seen.';
COMMENT ON COLUMN audit.rejections_today.first_line_no IS 'The first of their lines.';
COMMENT ON COLUMN audit.rejections_today.example_row_id IS 'The number of that row, for audit.replay.';
COMMENT ON COLUMN audit.rejections_today.example_reason IS 'The reason of that row.';
COMMENT ON COLUMN audit.rejections_today.example IS 'That row as received. Personal data.';
