-- avg_order_value × orders_per_year × avg_lifespan_years, but for what the rounding of the parts can make.
SELECT candidate.customer_id
FROM {{ ref('customer_ltv') }} AS candidate
WHERE
    CASE
        WHEN candidate.total_orders = 0
            THEN
                candidate.ltv = 0
                AND candidate.total_amount = 0
                AND candidate.orders_per_year = 0
                AND candidate.avg_order_value IS NULL
        ELSE
            abs(candidate.avg_order_value * candidate.total_orders - candidate.total_amount)
            <= 0.005 * candidate.total_orders
            AND abs(
                candidate.ltv
                - candidate.avg_order_value * candidate.orders_per_year * candidate.avg_lifespan_years
            ) <= 0.01 + candidate.avg_lifespan_years
            * (0.005 * candidate.orders_per_year + 0.00005 * candidate.avg_order_value)
    END IS NOT true
