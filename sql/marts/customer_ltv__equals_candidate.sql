-- marts.customer_ltv__equals_candidate: what is published is what was checked, row for row.
WITH different AS (
    SELECT coalesce(published.customer_id, candidate.customer_id) AS customer_id
    FROM marts.customer_ltv AS published
    FULL JOIN intermediate.customer_ltv AS candidate ON published.customer_id = candidate.customer_id
    WHERE (
        published.customer_id,
        published.total_orders,
        published.total_amount,
        published.avg_order_value,
        published.ltv,
        published.first_order_date,
        published.last_order_date,
        published.orders_per_year,
        published.avg_lifespan_years
    ) IS DISTINCT FROM (
        candidate.customer_id,
        candidate.total_orders,
        candidate.total_amount,
        candidate.avg_order_value,
        candidate.ltv,
        candidate.first_order_date,
        candidate.last_order_date,
        candidate.orders_per_year,
        candidate.avg_lifespan_years
    )
)

SELECT
    audit.verdict(
        claim => 'marts.customer_ltv__equals_candidate',
        bad_rows => count(*),
        checked_rows => (SELECT count(*) FROM intermediate.customer_ltv),
        example => 'customer ' || min(different.customer_id)
    ) AS equals_candidate
FROM different;
