-- marts.customer_ltv__equals_candidate: what is published is what was checked, row for row.
WITH compared AS (
    SELECT
        coalesce(published.customer_id, candidate.customer_id) AS customer_id,
        (
            published.customer_id,
            published.total_orders,
            published.total_amount,
            published.avg_order_value,
            published.ltv,
            published.first_order_date,
            published.last_order_date,
            published.orders_per_year,
            published.avg_lifespan_years
        ) IS NOT DISTINCT FROM (
            candidate.customer_id,
            candidate.total_orders,
            candidate.total_amount,
            candidate.avg_order_value,
            candidate.ltv,
            candidate.first_order_date,
            candidate.last_order_date,
            candidate.orders_per_year,
            candidate.avg_lifespan_years
        ) AS is_equal
    FROM marts.customer_ltv AS published
    FULL JOIN intermediate.customer_ltv AS candidate ON published.customer_id = candidate.customer_id
)

SELECT
    audit.verdict(
        claim => 'marts.customer_ltv__equals_candidate',
        bad_rows => count(*) FILTER (WHERE NOT compared.is_equal),
        checked_rows => count(*),
        example => format('customer %s', min(compared.customer_id) FILTER (WHERE NOT compared.is_equal))
    ) AS equals_candidate
FROM compared;
