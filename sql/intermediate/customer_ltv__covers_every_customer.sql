-- intermediate.customer_ltv__covers_every_customer: each customer of core has one candidate row, nobody else has one.
WITH candidates AS (
    SELECT
        customer_ltv.customer_id,
        count(*) AS candidate_rows
    FROM intermediate.customer_ltv
    GROUP BY customer_ltv.customer_id
),

covered AS (
    SELECT
        coalesce(customers.customer_id, candidates.customer_id) AS customer_id,
        customers.customer_id IS NOT NULL AND coalesce(candidates.candidate_rows, 0) = 1 AS is_covered
    FROM core.customers
    FULL JOIN candidates ON customers.customer_id = candidates.customer_id
)

SELECT
    audit.verdict(
        claim => 'intermediate.customer_ltv__covers_every_customer',
        bad_rows => count(*) FILTER (WHERE NOT covered.is_covered),
        checked_rows => count(*),
        example => 'customer ' || min(covered.customer_id) FILTER (WHERE NOT covered.is_covered)
    ) AS covers_every_customer
FROM covered;
