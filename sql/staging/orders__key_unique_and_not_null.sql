-- staging.orders__key_unique_and_not_null: no two good lines have the same order_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.orders__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT orders.order_id),
        checked_rows => count(*)
    ) AS key_unique_and_not_null
FROM staging.orders
WHERE orders.reason IS NULL;
