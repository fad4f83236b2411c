-- audit.usual_volumes: how many records a delivery usually has: of a delta the median of the last seven published ones,
-- of a snapshot as many as core has rows.
-- Grain: one row per source.
-- Reads: audit.sources, audit.loads, audit.runs, core
-- Write: a view. A delta's first delivery, its initial load, is no measure of its days.
CREATE OR REPLACE VIEW audit.usual_volumes AS
SELECT
    sources.source,
    sources.max_volume_fall,
    CASE sources.kind
        WHEN 'snapshot' THEN nullif(audit.rows_in_core(sources.entity), 0)
        ELSE (
            SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY published.records)
            FROM (
                SELECT
                    sum(loads.records) AS records,
                    row_number() OVER (ORDER BY loads.run_no) AS delivery_no,
                    row_number() OVER (ORDER BY loads.run_no DESC) AS deliveries_ago
                FROM audit.loads
                INNER JOIN audit.runs ON loads.run_no = runs.run_no
                WHERE loads.source = sources.source AND runs.state = 'published'
                GROUP BY loads.run_no
            ) AS published
            WHERE published.deliveries_ago <= 7 AND published.delivery_no > 1
        )
    END AS usual_records
FROM audit.sources;
COMMENT ON VIEW audit.usual_volumes IS 'How many records a delivery usually has. One row per source.';
COMMENT ON COLUMN audit.usual_volumes.source IS 'The source.';
COMMENT ON COLUMN audit.usual_volumes.max_volume_fall IS 'How far, as a share, a delivery may fall short.';
COMMENT ON COLUMN audit.usual_volumes.usual_records IS 'Of a delta the median of its last seven published deliveries, the first one not counted; of a snapshot the rows in core. NULL before there is one to go by.';
