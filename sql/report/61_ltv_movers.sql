-- report.61_ltv_movers: Whose value the last publish has changed most, coloured by the main reason; the first 15.
-- Grain: one row per customer.
-- Reads: marts.ltv_movers
-- Write: nothing.

SELECT
    ltv_movers.customer_id::text AS customer_id,
    ltv_movers.country,
    ltv_movers.previous_ltv,
    ltv_movers.ltv,
    ltv_movers.change,
    ltv_movers.reason,
    format(
        '%s customers are worth more than at the publish before, %s less; %s are new.',
        to_char(
            count(*) FILTER (WHERE ltv_movers.change > 0 AND ltv_movers.reason <> 'first seen') OVER (),
            'FM999,999,999,990'
        ),
        to_char(count(*) FILTER (WHERE ltv_movers.change < 0) OVER (), 'FM999,999,999,990'),
        to_char(count(*) FILTER (WHERE ltv_movers.reason = 'first seen') OVER (), 'FM999,999,999,990')
    ) AS headline
FROM marts.ltv_movers
ORDER BY ltv_movers.place, ltv_movers.customer_id
LIMIT 15;
