-- marts.ltv_by_first_product: what customers are worth, by what they bought first.
-- Grain: one row per product of the first paid order; NULL where it is not known.
-- Reads: marts.customer_ltv, marts.freshness, core.paid_orders
-- Write: a view. While the next run fills core, its day is none of this one's.
CREATE OR REPLACE VIEW marts.ltv_by_first_product AS
WITH first_orders AS (
    SELECT DISTINCT ON (paid_orders.customer_id)
        paid_orders.customer_id,
        paid_orders.product
    FROM core.paid_orders
    INNER JOIN marts.freshness ON paid_orders.order_date <= freshness.as_of
    ORDER BY paid_orders.customer_id ASC, paid_orders.order_date ASC, paid_orders.order_id ASC
)

SELECT
    first_orders.product AS first_product,
    count(*) AS customers,
    sum(customer_ltv.total_orders) AS total_orders,
    sum(customer_ltv.total_amount) AS total_amount,
    sum(customer_ltv.ltv) AS total_ltv,
    avg(customer_ltv.ltv)::numeric(24, 2) AS avg_ltv,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY customer_ltv.ltv::double precision)::numeric(24, 2) AS median_ltv,
    (sum(customer_ltv.ltv) / nullif(sum(sum(customer_ltv.ltv)) OVER (), 0))::numeric(7, 6) AS share_of_value
FROM marts.customer_ltv
LEFT JOIN first_orders ON customer_ltv.customer_id = first_orders.customer_id
WHERE customer_ltv.total_orders > 0
GROUP BY first_orders.product;
COMMENT ON VIEW marts.ltv_by_first_product IS 'What customers are worth, by what they bought first. One row per product of the first paid order.';
COMMENT ON COLUMN marts.ltv_by_first_product.first_product IS 'The product of the first paid order, of several on that day the one with the lowest number; NULL where it is not known.';
COMMENT ON COLUMN marts.ltv_by_first_product.customers IS 'Customers who bought it first.';
COMMENT ON COLUMN marts.ltv_by_first_product.total_orders IS 'Their paid orders, of whatever product.';
COMMENT ON COLUMN marts.ltv_by_first_product.total_amount IS 'The payments of those, refunds deducted, in the reporting currency.';
COMMENT ON COLUMN marts.ltv_by_first_product.total_ltv IS 'Their ltv together.';
COMMENT ON COLUMN marts.ltv_by_first_product.avg_ltv IS 'That per customer.';
COMMENT ON COLUMN marts.ltv_by_first_product.median_ltv IS 'Half of them are worth less: a few large ones do not move it.';
COMMENT ON COLUMN marts.ltv_by_first_product.share_of_value IS 'total_ltv as a share of everybody''s.';
