-- report.40_ltv_by_country: The value of all customers of a country together; the 20 most valuable countries.
-- Grain: one row per country.
-- Reads: marts.ltv_by_country
-- Write: nothing.

SELECT
    coalesce(ltv_by_country.country, 'not known') AS country,
    ltv_by_country.customers,
    ltv_by_country.buyers,
    ltv_by_country.total_orders,
    ltv_by_country.total_amount,
    ltv_by_country.total_ltv,
    ltv_by_country.avg_ltv,
    (100 * ltv_by_country.share_of_value)::numeric(5, 1) AS share_percent,
    format(
        '%s holds %s %% of the value.',
        first_value(coalesce(ltv_by_country.country, 'A country that is not known'))
            OVER (ORDER BY ltv_by_country.total_ltv DESC, ltv_by_country.country ASC),
        round(100 * max(ltv_by_country.share_of_value) OVER ())
    ) AS headline
FROM marts.ltv_by_country
ORDER BY ltv_by_country.total_ltv DESC, ltv_by_country.country ASC
LIMIT 20;
