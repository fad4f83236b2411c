-- staging.orders__text_readable: a warning: texts that were read in a wrong encoding before they came here.
SELECT
    audit.verdict(
        claim => 'staging.orders__text_readable',
        bad_rows => count(*) FILTER (WHERE audit.is_mojibake(orders.product)),
        checked_rows => count(*),
        fail_over => 1,
        warn_over => 0,
        example => 'order ' || min(orders.order_id) FILTER (WHERE audit.is_mojibake(orders.product))
    ) AS text_readable
FROM staging.orders
WHERE orders.reason IS NULL;
