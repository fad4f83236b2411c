-- raw.customer_data__not_empty_nor_short: this delivery holds rows, and not many fewer than the recent ones.
-- The limit, and whether the source is a delta or a snapshot, stand in sql/definitions/sources.sql.
WITH delivered AS (
    SELECT count(*) AS records FROM raw.customer_data
),

-- The last seven published deliveries. A delta's first delivery, its initial load, is no measure of its days.
recent AS (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY published.records) AS usual_records
    FROM (
        SELECT
            sum(loads.records) AS records,
            row_number() OVER (ORDER BY loads.run_no) AS delivery_no,
            row_number() OVER (ORDER BY loads.run_no DESC) AS deliveries_ago
        FROM audit.loads
        INNER JOIN audit.runs ON loads.run_no = runs.run_no
        WHERE loads.source = 'customer_data' AND runs.state = 'published'
        GROUP BY loads.run_no
    ) AS published
    INNER JOIN audit.sources ON sources.source = 'customer_data'
    WHERE published.deliveries_ago <= 7 AND (published.delivery_no > 1 OR sources.kind = 'snapshot')
)

SELECT
    audit.verdict(
        claim => 'raw.customer_data__not_empty_nor_short',
        bad_rows => greatest(0, coalesce(recent.usual_records, 0) - delivered.records),
        checked_rows => CASE
            WHEN delivered.records > 0 THEN greatest(recent.usual_records, delivered.records)
        END,
        fail_over => sources.max_volume_fall,
        example => format('%s records, usually %s', delivered.records, recent.usual_records)
    ) AS not_empty_nor_short
FROM delivered
CROSS JOIN recent
INNER JOIN audit.sources ON sources.source = 'customer_data';
