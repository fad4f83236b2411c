-- staging.orders__rejects_within_limit: no more lines are rejected than audit.sources allows.
SELECT
    audit.verdict(
        claim => 'staging.orders__rejects_within_limit',
        bad_rows => deliveries.rejected,
        checked_rows => deliveries.records,
        fail_over => deliveries.allowed_reject_share,
        example => deliveries.rejected_example
    ) AS rejects_within_limit
FROM audit.deliveries
WHERE deliveries.source = 'order_data';
