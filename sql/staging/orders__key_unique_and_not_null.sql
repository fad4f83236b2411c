-- staging.orders__key_unique_and_not_null: no two good lines have the same order_id, and each has one.
WITH counted AS (
    SELECT
        orders.order_id,
        count(*) AS lines,
        CASE WHEN orders.order_id IS NULL THEN count(*) ELSE count(*) - 1 END AS surplus_lines
    FROM staging.orders
    WHERE orders.reason IS NULL
    GROUP BY orders.order_id
)

SELECT
    audit.verdict(
        claim => 'staging.orders__key_unique_and_not_null',
        bad_rows => sum(counted.surplus_lines),
        checked_rows => sum(counted.lines),
        example => 'order_id ' || min(counted.order_id) FILTER (WHERE counted.surplus_lines > 0)
    ) AS key_unique_and_not_null
FROM counted;
