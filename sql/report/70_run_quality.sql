-- report.70_run_quality: The checks of the last 30 runs by their verdict; what has failed was not published.
-- Grain: one row per run.
-- Reads: audit.run_quality
-- Write: nothing.

SELECT
    last_runs.run_no::text AS run,
    last_runs.as_of,
    last_runs.state,
    last_runs.passed,
    last_runs.warned,
    last_runs.overridden,
    last_runs.failed,
    last_runs.records,
    last_runs.rejected,
    format(
        '%s of %s runs published.',
        count(*) FILTER (WHERE last_runs.state = 'published') OVER (),
        count(*) OVER ()
    ) AS headline
FROM (
    SELECT
        run_quality.run_no,
        run_quality.as_of,
        run_quality.state,
        run_quality.passed,
        run_quality.warned,
        run_quality.overridden,
        run_quality.failed,
        run_quality.records,
        run_quality.rejected
    FROM audit.run_quality
    ORDER BY run_quality.run_no DESC
    LIMIT 30
) AS last_runs
ORDER BY last_runs.run_no;
