-- staging.orders__key_unique_and_not_null: no two good lines have the same order_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.orders__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT orders.order_id),
        checked_rows => count(*),
        -- Looked for only where there is one.
        example => CASE
            WHEN count(*) > count(DISTINCT orders.order_id)
                THEN (
                    SELECT 'order_id ' || repeated.order_id
                    FROM staging.orders AS repeated
                    WHERE repeated.reason IS NULL
                    GROUP BY repeated.order_id
                    HAVING count(*) > 1
                    ORDER BY repeated.order_id
                    LIMIT 1
                )
        END
    ) AS key_unique_and_not_null
FROM staging.orders
WHERE orders.reason IS NULL;
