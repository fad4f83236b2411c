-- report.20_pareto_curve: Buyers in ten equal groups, the most valuable first: the share of all value that each holds.
-- Grain: one row per tenth of the customers with a paid order.
-- Reads: marts.ltv_deciles
-- Write: nothing.

SELECT
    ltv_deciles.decile,
    ltv_deciles.customers,
    ltv_deciles.lowest_ltv,
    ltv_deciles.highest_ltv,
    ltv_deciles.total_ltv,
    (100 * ltv_deciles.share_of_value)::numeric(5, 1) AS share_percent,
    (100 * ltv_deciles.share_so_far)::numeric(5, 1) AS share_so_far_percent,
    format(
        'The most valuable tenth of the buyers holds %s %% of the value, the first half %s %%.',
        round(100 * (max(ltv_deciles.share_so_far) FILTER (WHERE ltv_deciles.decile = 1) OVER ())),
        round(100 * (max(ltv_deciles.share_so_far) FILTER (WHERE ltv_deciles.decile <= 5) OVER ()))
    ) AS headline
FROM marts.ltv_deciles
ORDER BY ltv_deciles.decile;
