-- report.71_rejects_by_rule: Different lines that are set aside, by the rule that refused them; the 20 most frequent.
-- Grain: one row per source and rule; what waits is tried again at every run.
-- Reads: audit.rejects_by_rule
-- Write: nothing.

SELECT
    replace(rejects_by_rule.rule, '_', ' ') AS rule,
    replace(rejects_by_rule.source, '_data', 's') AS file,
    rejects_by_rule.rows_of_last_run,
    rejects_by_rule.rows_kept,
    rejects_by_rule.is_waiting,
    rejects_by_rule.first_seen,
    rejects_by_rule.last_seen,
    format(
        'The last run set aside %s lines.', to_char(sum(rejects_by_rule.rows_of_last_run) OVER (), 'FM999,999,999,990')
    ) AS headline
FROM audit.rejects_by_rule
ORDER BY rejects_by_rule.rows_kept DESC, rejects_by_rule.source ASC, rejects_by_rule.rule ASC
LIMIT 20;
