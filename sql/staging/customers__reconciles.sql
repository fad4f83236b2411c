-- staging.customers__reconciles: every record of every file is good, superseded, rejected or waiting; none is lost.
SELECT
    audit.verdict(
        claim => 'staging.customers__reconciles',
        bad_rows => deliveries.unaccounted + abs(deliveries.loaded - staged.lines),
        checked_rows => deliveries.records,
        example => deliveries.unaccounted_file
    ) AS reconciles
FROM (SELECT count(*) AS lines FROM staging.customers WHERE customers.line_no > 0) AS staged
INNER JOIN audit.deliveries ON deliveries.source = 'customer_data';
