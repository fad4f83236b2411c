-- marts.ltv_by_country: what the customers of each country are worth.
-- Grain: one row per country; NULL where it is not known.
-- Reads: marts.customer_ltv, core.customers
-- Write: a view.
CREATE OR REPLACE VIEW marts.ltv_by_country AS
SELECT
    customers.country,
    count(*) AS customers,
    count(*) FILTER (WHERE customer_ltv.total_orders > 0) AS buyers,
    sum(customer_ltv.total_orders) AS total_orders,
    sum(customer_ltv.total_amount) AS total_amount,
    sum(customer_ltv.ltv) AS total_ltv,
    avg(customer_ltv.ltv)::numeric(24, 2) AS avg_ltv,
    (sum(customer_ltv.ltv) / nullif(sum(sum(customer_ltv.ltv)) OVER (), 0))::numeric(7, 6) AS share_of_value
FROM marts.customer_ltv
LEFT JOIN core.customers ON customer_ltv.customer_id = customers.customer_id
GROUP BY customers.country;
COMMENT ON VIEW marts.ltv_by_country IS 'What the customers of each country are worth. One row per country.';
COMMENT ON COLUMN marts.ltv_by_country.country IS 'The country, as delivered last; NULL where it is not known.';
COMMENT ON COLUMN marts.ltv_by_country.customers IS 'Its customers.';
COMMENT ON COLUMN marts.ltv_by_country.buyers IS 'Those with a paid order.';
COMMENT ON COLUMN marts.ltv_by_country.total_orders IS 'Their paid orders.';
COMMENT ON COLUMN marts.ltv_by_country.total_amount IS 'The payments of those, refunds deducted, in the reporting currency.';
COMMENT ON COLUMN marts.ltv_by_country.total_ltv IS 'Their ltv together.';
COMMENT ON COLUMN marts.ltv_by_country.avg_ltv IS 'That per customer, those without a paid order included.';
COMMENT ON COLUMN marts.ltv_by_country.share_of_value IS 'total_ltv as a share of everybody''s.';
