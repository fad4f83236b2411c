-- raw.payment_data__not_empty_nor_short: this delivery holds rows, and not many fewer than the recent ones.
SELECT
    audit.verdict(
        claim => 'raw.payment_data__not_empty_nor_short',
        bad_rows => greatest(0, coalesce(usual_volumes.usual_records, 0) - delivered.records),
        checked_rows => CASE
            WHEN delivered.records > 0 THEN greatest(usual_volumes.usual_records, delivered.records)
        END,
        fail_over => usual_volumes.max_volume_fall,
        example => concat(delivered.records, ' records', ', usually ' || usual_volumes.usual_records)
    ) AS not_empty_nor_short
FROM (SELECT count(*) AS records FROM raw.payment_data) AS delivered
INNER JOIN audit.usual_volumes ON usual_volumes.source = 'payment_data';
