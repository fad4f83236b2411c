-- staging.orders__price_not_negative: no good line has a price below 0.
SELECT
    audit.verdict(
        claim => 'staging.orders__price_not_negative',
        bad_rows => count(*) FILTER (WHERE orders.price < 0 OR orders.price IS NULL),
        checked_rows => count(*),
        example => 'order ' || min(orders.order_id) FILTER (WHERE orders.price < 0 OR orders.price IS NULL)
    ) AS price_not_negative
FROM staging.orders
WHERE orders.reason IS NULL;
