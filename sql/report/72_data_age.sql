-- report.72_data_age: Hours from the end of a day to the moment its numbers were out, for the last 30 that were.
-- Grain: one row per run that published.
-- Reads: audit.run_quality
-- Write: nothing.

SELECT
    published.run_no::text AS run,
    published.as_of,
    published.hours_after_day,
    format(
        'The last numbers were out %s hours after the end of their day.',
        to_char(
            first_value(published.hours_after_day) OVER (ORDER BY published.run_no DESC), 'FM999,999,999,990.0'
        )
    ) AS headline
FROM (
    SELECT
        run_quality.run_no,
        run_quality.as_of,
        run_quality.hours_after_day
    FROM audit.run_quality
    WHERE run_quality.state = 'published'
    ORDER BY run_quality.run_no DESC
    LIMIT 30
) AS published
ORDER BY published.run_no;
