-- staging.orders__waiting_within_limit: of this delivery no more lines than audit.sources allows wait, for their
-- customer or their day.
SELECT
    audit.verdict(
        claim => 'staging.orders__waiting_within_limit',
        bad_rows => count(*) FILTER (WHERE orders.reason LIKE '% waits:%'),
        checked_rows => count(*),
        fail_over => min(sources.max_waiting_share),
        example => 'order ' || min(orders.order_id) FILTER (WHERE orders.reason LIKE '% waits:%')
    ) AS waiting_within_limit
FROM staging.orders
INNER JOIN audit.sources ON sources.source = 'order_data'
-- Those that an earlier delivery left waiting are no fault of this one.
WHERE orders.line_no > 0;
