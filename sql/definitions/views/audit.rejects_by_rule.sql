-- audit.rejects_by_rule: what is set aside, by file and rule, in the last run and in all that are kept.
-- Grain: one row per source and rule.
-- Reads: audit.rejected_rows, audit.runs
-- Write: a view. What was released or superseded since is not in it, an undo is no run. Nothing in it is personal data.
CREATE OR REPLACE VIEW audit.rejects_by_rule AS
SELECT
    rejected_rows.source,
    rejected_rows.column_name,
    rejected_rows.rule,
    rejected_rows.is_waiting,
    count(*) FILTER (
        WHERE rejected_rows.last_run_no = (
            SELECT max(runs.run_no)
            FROM audit.runs
            WHERE runs.dag_run_id NOT LIKE 'undo of run %'
        )
    ) AS rows_of_last_run,
    count(*) AS rows_kept,
    min(rejected_rows.first_seen_at)::date AS first_seen,
    max(rejected_rows.last_seen_at)::date AS last_seen
FROM audit.rejected_rows
WHERE rejected_rows.released_run_no IS NULL AND rejected_rows.superseded_run_no IS NULL
GROUP BY rejected_rows.source, rejected_rows.column_name, rejected_rows.rule, rejected_rows.is_waiting;
COMMENT ON VIEW audit.rejects_by_rule IS 'What is set aside, by file and rule, in the last run and in all that are kept. One row per source and rule.';
COMMENT ON COLUMN audit.rejects_by_rule.source IS 'The source.';
COMMENT ON COLUMN audit.rejects_by_rule.column_name IS 'The column at fault; "line" where the line is no record.';
COMMENT ON COLUMN audit.rejects_by_rule.rule IS 'The rule that refused them, or for which they wait.';
COMMENT ON COLUMN audit.rejects_by_rule.is_waiting IS 'Whether they wait for a parent or a day, and are tried again.';
COMMENT ON COLUMN audit.rejects_by_rule.rows_of_last_run IS 'Different rows that the last run has set aside, or seen again.';
COMMENT ON COLUMN audit.rejects_by_rule.rows_kept IS 'Different rows that are kept: for 90 days after the last run that saw them; as long as they wait.';
COMMENT ON COLUMN audit.rejects_by_rule.first_seen IS 'The first day on which one of them was seen.';
COMMENT ON COLUMN audit.rejects_by_rule.last_seen IS 'The last.';
