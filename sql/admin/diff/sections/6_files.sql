-- Files: seconds on this machine, the cost that the planner expects, rows read from every table, rows written.
WITH measured AS (
    SELECT
        base.rows_read AS base_read,
        edited.rows_read AS edited_read,
        base.rows_written AS base_written,
        edited.rows_written AS edited_written,
        coalesce(base.task, edited.task) AS file,
        round(base.seconds, 2) AS base_seconds,
        round(edited.seconds, 2) AS edited_seconds,
        round(base.plan_cost) AS base_cost,
        round(edited.plan_cost) AS edited_cost
    FROM diff.measures AS base
    FULL JOIN edited.diff__measures AS edited ON base.task = edited.task
)

SELECT
    measured.file,
    measured.base_seconds,
    measured.edited_seconds,
    measured.base_cost,
    measured.edited_cost,
    measured.base_read,
    measured.edited_read,
    measured.base_written,
    measured.edited_written
FROM measured
INNER JOIN unnest(string_to_array(current_setting('diff.twice'), ',')) WITH ORDINALITY AS twice (task, place)
    ON measured.file = twice.task
ORDER BY twice.place;
