-- staging.customers__key_unique_and_not_null: no two good lines have the same customer_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.customers__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT customers.customer_id),
        checked_rows => count(*)
    ) AS key_unique_and_not_null
FROM staging.customers
WHERE customers.reason IS NULL;
