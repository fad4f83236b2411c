-- staging.payments__key_unique_and_not_null: no two good lines have the same payment_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.payments__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT payments.payment_id),
        checked_rows => count(*),
        -- Looked for only where there is one.
        example => CASE
            WHEN count(*) > count(DISTINCT payments.payment_id)
                THEN (
                    SELECT 'payment_id ' || repeated.payment_id
                    FROM staging.payments AS repeated
                    WHERE repeated.reason IS NULL
                    GROUP BY repeated.payment_id
                    HAVING count(*) > 1
                    ORDER BY repeated.payment_id
                    LIMIT 1
                )
        END
    ) AS key_unique_and_not_null
FROM staging.payments
WHERE payments.reason IS NULL;
