-- staging.payments__key_unique_and_not_null: no two good lines have the same payment_id, and each has one.
WITH counted AS (
    SELECT
        payments.payment_id,
        count(*) AS lines,
        CASE WHEN payments.payment_id IS NULL THEN count(*) ELSE count(*) - 1 END AS surplus_lines
    FROM staging.payments
    WHERE payments.reason IS NULL
    GROUP BY payments.payment_id
)

SELECT
    audit.verdict(
        claim => 'staging.payments__key_unique_and_not_null',
        bad_rows => sum(counted.surplus_lines),
        checked_rows => sum(counted.lines),
        example => 'payment_id ' || min(counted.payment_id) FILTER (WHERE counted.surplus_lines > 0)
    ) AS key_unique_and_not_null
FROM counted;
