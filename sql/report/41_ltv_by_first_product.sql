-- report.41_ltv_by_first_product: What a buyer is worth on average, by the product that came first; the 20 dearest.
-- Grain: one row per product of the first paid order.
-- Reads: marts.ltv_by_first_product
-- Write: nothing.

SELECT
    coalesce(ltv_by_first_product.first_product, 'not known') AS first_product,
    ltv_by_first_product.customers,
    ltv_by_first_product.total_orders,
    ltv_by_first_product.total_amount,
    ltv_by_first_product.total_ltv,
    ltv_by_first_product.avg_ltv,
    ltv_by_first_product.median_ltv,
    (100 * ltv_by_first_product.share_of_value)::numeric(5, 1) AS share_percent,
    format(
        'Who began with %s is worth %s on average.',
        first_value(coalesce(ltv_by_first_product.first_product, 'what is not known'))
            OVER (ORDER BY ltv_by_first_product.avg_ltv DESC, ltv_by_first_product.first_product ASC),
        to_char(max(ltv_by_first_product.avg_ltv) OVER (), 'FM999,999,999,990')
    ) AS headline
FROM marts.ltv_by_first_product
ORDER BY ltv_by_first_product.avg_ltv DESC, ltv_by_first_product.first_product ASC
LIMIT 20;
