-- staging.payments__key_unique_and_not_null: no two good lines have the same payment_id, and each has one.
SELECT
    audit.verdict(
        claim => 'staging.payments__key_unique_and_not_null',
        bad_rows => count(*) - count(DISTINCT payments.payment_id),
        checked_rows => count(*)
    ) AS key_unique_and_not_null
FROM staging.payments
WHERE payments.reason IS NULL;
