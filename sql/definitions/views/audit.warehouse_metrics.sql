-- audit.warehouse_metrics: what a monitor scrapes: how old the numbers are, how the last run went, what its files held.
-- Grain: one row per metric and subject.
-- Reads: marts.freshness, audit.runs, steps, loads, check_results, waiting_rows, sources, standbys
-- Write: a view. An undo is no run here. Nothing in it is personal data.
CREATE OR REPLACE VIEW audit.warehouse_metrics AS
WITH last_run AS (
    SELECT
        runs.state,
        extract(EPOCH FROM coalesce(runs.ended_at, now()) - runs.started_at) AS seconds
    FROM audit.runs
    WHERE runs.dag_run_id NOT LIKE 'undo of run %'
    ORDER BY runs.run_no DESC
    LIMIT 1
),

-- While a run is open its verdicts are not in yet: an alarm would come and go every night.
last_ended AS (
    SELECT runs.run_no
    FROM audit.runs
    WHERE runs.state <> 'open' AND runs.dag_run_id NOT LIKE 'undo of run %'
    ORDER BY runs.run_no DESC
    LIMIT 1
),

delivered AS (
    SELECT
        loads.source,
        sum(loads.records) AS records,
        sum(loads.loaded) AS loaded,
        sum(loads.good) AS good,
        sum(loads.superseded) AS superseded,
        sum(loads.rejected) AS rejected,
        sum(loads.waiting) AS waiting,
        sum(loads.forgotten) AS forgotten
    FROM audit.loads
    INNER JOIN last_ended ON loads.run_no = last_ended.run_no
    GROUP BY loads.source
),

measured AS (
    -- From the end of the last day that the numbers know of.
    SELECT
        'data_age_seconds' AS metric,
        '' AS subject,
        extract(EPOCH FROM now() - ((freshness.as_of + 1)::timestamp AT TIME ZONE 'Africa/Kigali')) AS value
    FROM marts.freshness
    UNION ALL
    SELECT
        'run_seconds' AS metric,
        last_run.state AS subject,
        last_run.seconds AS value
    FROM last_run
    UNION ALL
    SELECT
        'step_seconds' AS metric,
        steps.task AS subject,
        steps.seconds AS value
    FROM audit.steps
    INNER JOIN last_ended ON steps.run_no = last_ended.run_no
    UNION ALL
    SELECT
        'step_rows' AS metric,
        steps.task AS subject,
        steps.rows_written AS value
    FROM audit.steps
    INNER JOIN last_ended ON steps.run_no = last_ended.run_no
    UNION ALL
    SELECT
        counted.metric,
        delivered.source AS subject,
        counted.value
    FROM delivered
    CROSS JOIN
        LATERAL (
            VALUES
            ('file_records', delivered.records),
            ('file_loaded', delivered.loaded),
            ('file_good', delivered.good),
            ('file_superseded', delivered.superseded),
            ('file_rejected', delivered.rejected),
            ('file_waiting', delivered.waiting),
            ('file_forgotten', delivered.forgotten)
        ) AS counted (metric, value)
    UNION ALL
    -- Zeros too: what has no row raises no alarm.
    SELECT
        'checks' AS metric,
        verdicts.verdict AS subject,
        count(check_results.claim) AS value
    FROM (VALUES ('passed'), ('warned'), ('failed'), ('overridden')) AS verdicts (verdict)
    CROSS JOIN last_ended
    LEFT JOIN audit.check_results
        ON last_ended.run_no = check_results.run_no AND verdicts.verdict = check_results.verdict
    GROUP BY verdicts.verdict
    UNION ALL
    SELECT
        'rows_waiting' AS metric,
        sources.source AS subject,
        count(waiting_rows.rejected_row_id) AS value
    FROM audit.sources
    LEFT JOIN audit.waiting_rows ON sources.source = waiting_rows.source
    GROUP BY sources.source
    UNION ALL
    -- Two may have one name.
    SELECT
        behind.metric,
        standbys.standby AS subject,
        max(behind.value) AS value
    FROM audit.standbys
    CROSS JOIN
        LATERAL (
            VALUES
            ('standby_bytes_behind', standbys.bytes_behind),
            ('standby_seconds_behind', standbys.seconds_behind)
        ) AS behind (metric, value)
    GROUP BY behind.metric, standbys.standby
)

SELECT
    metric,
    subject,
    value::double precision AS value
FROM measured
WHERE value IS NOT NULL;
COMMENT ON VIEW audit.warehouse_metrics IS 'What a monitor scrapes: how old the numbers are, how the last run went, what its files held. One row per metric and subject.';
COMMENT ON COLUMN audit.warehouse_metrics.metric IS 'data_age_seconds, from the end of the published day; run_seconds, of the last run, the open one included; of the last that has ended: step_seconds, step_rows; file_records, file_loaded, file_good, file_superseded, file_rejected, file_waiting, file_forgotten, checks; rows_waiting, of all runs; standby_bytes_behind and standby_seconds_behind, for those in pg_monitor.';
COMMENT ON COLUMN audit.warehouse_metrics.subject IS 'What it is of: the run''s state, a task, a source, a verdict, a standby; empty for the age of the numbers.';
COMMENT ON COLUMN audit.warehouse_metrics.value IS 'The number: seconds, rows, claims or bytes.';
