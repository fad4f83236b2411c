-- report.60_customers_at_risk: Whose chance to buy again has fallen, and what has gone with it; the 15 with the most.
-- Grain: one row per customer.
-- Reads: marts.customers_at_risk
-- Write: nothing.

SELECT
    customers_at_risk.customer_id::text AS customer_id,
    customers_at_risk.country,
    (100 * customers_at_risk.earlier_p_alive)::numeric(5, 1) AS earlier_percent,
    (100 * customers_at_risk.p_alive)::numeric(5, 1) AS percent_now,
    customers_at_risk.earlier_expected_value,
    customers_at_risk.expected_value,
    customers_at_risk.value_at_stake,
    format(
        'Since %s %s customers have come to be at risk, and with them %s of a year''s value.',
        to_char(customers_at_risk.earlier_as_of, 'FMDD FMMonth YYYY'),
        to_char(count(*) OVER (), 'FM999,999,999,990'),
        to_char(coalesce(sum(customers_at_risk.value_at_stake) OVER (), 0), 'FM999,999,999,999,990')
    ) AS headline
FROM marts.customers_at_risk
ORDER BY customers_at_risk.place, customers_at_risk.customer_id
LIMIT 15;
