-- audit.usual_volumes: how many records a delivery usually has: the median of the last seven published ones.
-- Grain: one row per source.
-- Reads: audit.sources, loads, runs, rows_in_core
-- Write: a view. A delta's first delivery, its initial load, is no measure of its days; before a snapshot's first one
-- the rows in core are.
CREATE OR REPLACE VIEW audit.usual_volumes AS
SELECT
    sources.source,
    sources.max_volume_fall,
    coalesce(
        (
            SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY published.records)
            FROM (
                SELECT
                    sum(loads.records) AS records,
                    row_number() OVER (ORDER BY loads.run_no) AS delivery_no,
                    row_number() OVER (ORDER BY loads.run_no DESC) AS deliveries_ago
                FROM audit.loads
                INNER JOIN audit.runs ON loads.run_no = runs.run_no
                WHERE
                    loads.source = sources.source
                    AND runs.state = 'published'
                    AND coalesce(loads.kind, 'delta') = sources.kind
                GROUP BY loads.run_no
            ) AS published
            WHERE published.deliveries_ago <= 7 AND (published.delivery_no > 1 OR sources.kind = 'snapshot')
        ),
        CASE WHEN sources.kind = 'snapshot' THEN nullif(audit.rows_in_core(sources.entity), 0) END
    ) AS usual_records
FROM audit.sources;
COMMENT ON VIEW audit.usual_volumes IS 'How many records a delivery usually has. One row per source.';
COMMENT ON COLUMN audit.usual_volumes.source IS 'The source.';
COMMENT ON COLUMN audit.usual_volumes.max_volume_fall IS 'How far, as a share, a delivery may fall short.';
COMMENT ON COLUMN audit.usual_volumes.usual_records IS 'Median of its last seven published deliveries of the same kind, of a delta without the first; before a snapshot''s first one the rows in core. NULL where there is nothing to go by.';
