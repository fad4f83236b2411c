-- intermediate.customer_ltv__is_the_product_of_its_parts: avg_order_value × orders_per_year × avg_lifespan_years.
-- The parts are shown rounded, ltv is rounded once: they may differ by what their rounding can make.
WITH compared AS (
    SELECT
        candidate.customer_id,
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
        END AS is_the_product
    FROM intermediate.customer_ltv AS candidate
)

SELECT
    audit.verdict(
        claim => 'intermediate.customer_ltv__is_the_product_of_its_parts',
        bad_rows => count(*) FILTER (WHERE compared.is_the_product IS NOT true),
        checked_rows => count(*),
        example => 'customer ' || min(compared.customer_id) FILTER (WHERE compared.is_the_product IS NOT true)
    ) AS is_the_product_of_its_parts
FROM compared;
