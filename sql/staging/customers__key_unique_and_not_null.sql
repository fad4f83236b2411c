-- staging.customers__key_unique_and_not_null: no two good lines have the same customer_id, and each has one.
WITH counted AS (
    SELECT
        customers.customer_id,
        count(*) AS lines,
        CASE WHEN customers.customer_id IS NULL THEN count(*) ELSE count(*) - 1 END AS surplus_lines
    FROM staging.customers
    WHERE customers.reason IS NULL
    GROUP BY customers.customer_id
)

SELECT
    audit.verdict(
        claim => 'staging.customers__key_unique_and_not_null',
        bad_rows => sum(counted.surplus_lines),
        checked_rows => sum(counted.lines),
        example => 'customer_id ' || min(counted.customer_id) FILTER (WHERE counted.surplus_lines > 0)
    ) AS key_unique_and_not_null
FROM counted;
