-- marts.ltv_deciles: how much of the value how few customers are: the Pareto curve.
-- Grain: one row per tenth of the customers with a paid order, 1 being the most valuable.
-- Reads: marts.customer_ltv
-- Write: a view.
CREATE OR REPLACE VIEW marts.ltv_deciles AS
WITH ranked AS (
    SELECT
        customer_ltv.ltv,
        ntile(10) OVER (ORDER BY customer_ltv.ltv DESC, customer_ltv.customer_id ASC) AS decile
    FROM marts.customer_ltv
    WHERE customer_ltv.total_orders > 0
),

deciles AS (
    SELECT
        ranked.decile,
        count(*) AS customers,
        min(ranked.ltv) AS lowest_ltv,
        max(ranked.ltv) AS highest_ltv,
        sum(ranked.ltv) AS total_ltv
    FROM ranked
    GROUP BY ranked.decile
)

SELECT
    deciles.decile,
    deciles.customers,
    deciles.lowest_ltv,
    deciles.highest_ltv,
    deciles.total_ltv,
    (deciles.total_ltv / nullif(sum(deciles.total_ltv) OVER (), 0))::numeric(7, 6) AS share_of_value,
    (
        sum(deciles.total_ltv) OVER (ORDER BY deciles.decile) / nullif(sum(deciles.total_ltv) OVER (), 0)
    )::numeric(7, 6) AS share_so_far
FROM deciles;
COMMENT ON VIEW marts.ltv_deciles IS 'How much of the value how few customers are. One row per tenth of the customers with a paid order.';
COMMENT ON COLUMN marts.ltv_deciles.decile IS 'The tenth: 1 is the most valuable.';
COMMENT ON COLUMN marts.ltv_deciles.customers IS 'Customers in it.';
COMMENT ON COLUMN marts.ltv_deciles.lowest_ltv IS 'The lowest ltv among them.';
COMMENT ON COLUMN marts.ltv_deciles.highest_ltv IS 'The highest.';
COMMENT ON COLUMN marts.ltv_deciles.total_ltv IS 'Their ltv together.';
COMMENT ON COLUMN marts.ltv_deciles.share_of_value IS 'That as a share of everybody''s.';
COMMENT ON COLUMN marts.ltv_deciles.share_so_far IS 'The share of this tenth and all before it.';
