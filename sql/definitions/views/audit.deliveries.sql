-- audit.deliveries: what became of the lines that this run has received.
-- Grain: one row per source.
-- Reads: audit.sources, audit.loads, audit.rejected_rows
-- Write: a view. It looks at the run of its transaction, or by hand at the open or the last one.
CREATE OR REPLACE VIEW audit.deliveries AS
WITH judged AS (
    SELECT
        loads.source,
        loads.file,
        loads.records,
        loads.loaded,
        loads.rejected,
        abs(
            loads.records
            - coalesce(loads.good + loads.superseded + loads.rejected + loads.waiting + coalesce(loads.forgotten, 0), 0)
        ) AS unaccounted
    FROM audit.loads
    WHERE loads.run_no = (SELECT audit.run_no())
),

counted AS (
    SELECT
        source,
        sum(records) AS records,
        sum(loaded) AS loaded,
        sum(rejected) AS rejected,
        sum(unaccounted) AS unaccounted,
        min(file) FILTER (WHERE unaccounted > 0) AS unaccounted_file
    FROM judged
    GROUP BY source
)

SELECT
    sources.source,
    counted.records,
    counted.loaded,
    counted.rejected,
    counted.unaccounted,
    counted.unaccounted_file,
    -- A limit in lines is a limit in share, once one knows how many lines there are.
    least(sources.max_reject_share, sources.max_rejects / nullif(counted.records, 0)) AS allowed_reject_share,
    (
        SELECT format('%s line %s: %s', rejected_rows.file, rejected_rows.line_no, rejected_rows.reason)
        FROM audit.rejected_rows
        WHERE
            rejected_rows.source = sources.source
            AND rejected_rows.last_run_no = (SELECT audit.run_no())
            AND NOT rejected_rows.is_waiting
        ORDER BY rejected_rows.line_no
        LIMIT 1
    ) AS rejected_example
FROM audit.sources
LEFT JOIN counted ON sources.source = counted.source;
COMMENT ON VIEW audit.deliveries IS 'What became of the lines that this run has received. One row per source.';
COMMENT ON COLUMN audit.deliveries.source IS 'The source.';
COMMENT ON COLUMN audit.deliveries.records IS 'Records in all its files.';
COMMENT ON COLUMN audit.deliveries.loaded IS 'Records that COPY took.';
COMMENT ON COLUMN audit.deliveries.rejected IS 'Lines that COPY or a rule refused.';
COMMENT ON COLUMN audit.deliveries.unaccounted IS 'Records that are not good, superseded, rejected, waiting or forgotten: always 0, or lines have been lost.';
COMMENT ON COLUMN audit.deliveries.unaccounted_file IS 'A file that has such records.';
COMMENT ON COLUMN audit.deliveries.allowed_reject_share IS 'Share of rejected lines above which the run fails: max_reject_share, or max_rejects of so many records.';
COMMENT ON COLUMN audit.deliveries.rejected_example IS 'The first rejected line, with its reason.';
