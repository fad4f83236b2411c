-- audit.lasting_warnings: checks that warn, and for how many days in a row.
-- Grain: one row per claim whose last verdict is a warning.
-- Reads: audit.check_results, audit.runs
-- Write: a view. Of several runs of a day the last one counts; a day on which nobody asked neither counts nor ends it.
CREATE OR REPLACE VIEW audit.lasting_warnings AS
WITH daily AS (
    SELECT DISTINCT ON (check_results.claim, runs.as_of)
        check_results.claim,
        runs.as_of,
        check_results.run_no,
        check_results.verdict,
        check_results.said
    FROM audit.check_results
    INNER JOIN audit.runs ON check_results.run_no = runs.run_no
    WHERE runs.state <> 'undone'
    ORDER BY check_results.claim ASC, runs.as_of ASC, check_results.run_no DESC
),

last_other AS (
    SELECT
        claim,
        max(as_of) AS as_of
    FROM daily
    WHERE verdict <> 'warned'
    GROUP BY claim
)

SELECT
    daily.claim,
    count(*) AS days,
    min(daily.as_of) AS warns_since,
    max(daily.run_no) AS last_run_no,
    (array_agg(daily.said ORDER BY daily.as_of DESC))[1] AS said
FROM daily
LEFT JOIN last_other ON daily.claim = last_other.claim
WHERE last_other.as_of IS NULL OR last_other.as_of < daily.as_of
GROUP BY daily.claim;
COMMENT ON VIEW audit.lasting_warnings IS 'Checks that warn, and for how many days in a row. One row per claim whose last verdict is a warning.';
COMMENT ON COLUMN audit.lasting_warnings.claim IS 'The check.';
COMMENT ON COLUMN audit.lasting_warnings.days IS 'Days in a row, by the runs'' as-of dates, on which it has warned.';
COMMENT ON COLUMN audit.lasting_warnings.warns_since IS 'The first of them.';
COMMENT ON COLUMN audit.lasting_warnings.last_run_no IS 'The last run in which it has warned.';
COMMENT ON COLUMN audit.lasting_warnings.said IS 'What it said then.';
