-- staging.orders__waiting_within_limit: no more lines wait for their customer or their day than audit.sources allows.
SELECT
    audit.verdict(
        claim => 'staging.orders__waiting_within_limit',
        bad_rows => count(*) FILTER (WHERE orders.reason LIKE '% waits:%'),
        checked_rows => count(*),
        fail_over => min(sources.max_waiting_share),
        example => 'order ' || min(orders.order_id) FILTER (WHERE orders.reason LIKE '% waits:%')
    ) AS waiting_within_limit
FROM staging.orders
INNER JOIN audit.sources ON sources.source = 'order_data';
