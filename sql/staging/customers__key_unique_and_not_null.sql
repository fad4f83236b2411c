-- staging.customers__key_unique_and_not_null: no two good lines have the same customer_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.customers__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT customers.customer_id),
        checked_rows => count(*),
        -- Looked for only where there is one.
        example => CASE
            WHEN count(*) > count(DISTINCT customers.customer_id)
                THEN (
                    SELECT 'customer_id ' || repeated.customer_id
                    FROM staging.customers AS repeated
                    WHERE repeated.reason IS NULL
                    GROUP BY repeated.customer_id
                    HAVING count(*) > 1
                    ORDER BY repeated.customer_id
                    LIMIT 1
                )
        END
    ) AS key_unique_and_not_null
FROM staging.customers
WHERE customers.reason IS NULL;
