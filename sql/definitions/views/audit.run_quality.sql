-- audit.run_quality: how each run went: its checks by verdict, what it refused, how long after its day it published.
-- Grain: one row per run.
-- Reads: audit.runs, audit.check_results, audit.loads
-- Write: a view. An undo is no run here. Nothing in it is personal data.
CREATE OR REPLACE VIEW audit.run_quality AS
WITH verdicts AS (
    SELECT
        check_results.run_no,
        count(*) FILTER (WHERE check_results.verdict = 'passed') AS passed,
        count(*) FILTER (WHERE check_results.verdict = 'warned') AS warned,
        count(*) FILTER (WHERE check_results.verdict = 'overridden') AS overridden,
        count(*) FILTER (WHERE check_results.verdict = 'failed') AS failed
    FROM audit.check_results
    GROUP BY check_results.run_no
),

delivered AS (
    SELECT
        loads.run_no,
        sum(loads.records) AS records,
        sum(loads.rejected) AS rejected
    FROM audit.loads
    GROUP BY loads.run_no
)

SELECT
    runs.run_no,
    runs.as_of,
    runs.state,
    delivered.records,
    delivered.rejected,
    coalesce(verdicts.passed, 0) AS passed,
    coalesce(verdicts.warned, 0) AS warned,
    coalesce(verdicts.overridden, 0) AS overridden,
    coalesce(verdicts.failed, 0) AS failed,
    CASE
        WHEN runs.state = 'published'
            -- From the end of the last day that the numbers know of.
            THEN (
                extract(EPOCH FROM runs.ended_at - ((runs.as_of + 1)::timestamp AT TIME ZONE 'Africa/Kigali')) / 3600
            )::numeric(12, 1)
    END AS hours_after_day
FROM audit.runs
LEFT JOIN verdicts ON runs.run_no = verdicts.run_no
LEFT JOIN delivered ON runs.run_no = delivered.run_no
WHERE runs.dag_run_id NOT LIKE 'undo of run %';
COMMENT ON VIEW audit.run_quality IS 'How each run went: its checks by verdict, what it refused, how long after its day it published. One row per run.';
COMMENT ON COLUMN audit.run_quality.run_no IS 'The run.';
COMMENT ON COLUMN audit.run_quality.as_of IS 'The day that it looks back from.';
COMMENT ON COLUMN audit.run_quality.state IS 'open, published, failed, abandoned or undone.';
COMMENT ON COLUMN audit.run_quality.passed IS 'Checks that passed.';
COMMENT ON COLUMN audit.run_quality.warned IS 'Checks that warned.';
COMMENT ON COLUMN audit.run_quality.overridden IS 'Checks that failed and that somebody has signed for.';
COMMENT ON COLUMN audit.run_quality.failed IS 'Checks that failed.';
COMMENT ON COLUMN audit.run_quality.records IS 'Records of all files; NULL where none has arrived.';
COMMENT ON COLUMN audit.run_quality.rejected IS 'Those of them that were refused; NULL where none was judged.';
COMMENT ON COLUMN audit.run_quality.hours_after_day IS 'Hours from the end of as_of, in Kigali, to the end of the run; NULL unless it published.';
