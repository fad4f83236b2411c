-- marts.customers_at_risk: whose chance to buy again has fallen, and how much of what was expected is at stake with it.
-- Grain: one row per customer_id whose p_alive has fallen by forecast.assumptions.min_fall or more.
-- Reads: forecast.customer_forecast, assumptions, marts.customer_forecast_as_of, core.customers
-- Write: a view; empty until there is a forecast as old as that.
CREATE OR REPLACE VIEW marts.customers_at_risk AS
WITH compared AS (
    SELECT
        now_forecast.customer_id,
        now_forecast.as_of,
        earlier.as_of AS earlier_as_of,
        earlier.p_alive AS earlier_p_alive,
        now_forecast.p_alive,
        earlier.expected_value AS earlier_expected_value,
        now_forecast.expected_value,
        (earlier.expected_value * (1 - now_forecast.p_alive / earlier.p_alive))::numeric(24, 2) AS value_at_stake
    FROM forecast.customer_forecast AS now_forecast
    INNER JOIN
        marts.customer_forecast_as_of((
            SELECT max(customer_forecast.as_of) - max(choices.risk_seen_over_days)
            FROM forecast.customer_forecast
            CROSS JOIN forecast.assumptions AS choices
        )) AS earlier
        ON now_forecast.customer_id = earlier.customer_id
    CROSS JOIN forecast.assumptions
    WHERE now_forecast.p_alive <= earlier.p_alive - assumptions.min_fall
)

SELECT
    compared.customer_id,
    customers.country,
    compared.as_of,
    compared.earlier_as_of,
    compared.earlier_p_alive,
    compared.p_alive,
    compared.earlier_expected_value,
    compared.expected_value,
    compared.value_at_stake,
    rank() OVER (ORDER BY compared.value_at_stake DESC NULLS LAST) AS place
FROM compared
LEFT JOIN core.customers ON compared.customer_id = customers.customer_id;
COMMENT ON VIEW marts.customers_at_risk IS 'Whose chance to buy again has fallen by 0.1 or more in four weeks (forecast.assumptions), and what is at stake with it. One row per customer_id.';
COMMENT ON COLUMN marts.customers_at_risk.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.customers_at_risk.country IS 'The country, as delivered last.';
COMMENT ON COLUMN marts.customers_at_risk.as_of IS 'The day of the forecast.';
COMMENT ON COLUMN marts.customers_at_risk.earlier_as_of IS 'The day of the earlier one: the last that was published for a day four weeks before, or longer ago.';
COMMENT ON COLUMN marts.customers_at_risk.earlier_p_alive IS 'p_alive then.';
COMMENT ON COLUMN marts.customers_at_risk.p_alive IS 'p_alive now.';
COMMENT ON COLUMN marts.customers_at_risk.earlier_expected_value IS 'What was expected then of the 12 months to come.';
COMMENT ON COLUMN marts.customers_at_risk.expected_value IS 'What is expected now.';
COMMENT ON COLUMN marts.customers_at_risk.value_at_stake IS 'earlier_expected_value × (1 − p_alive / earlier_p_alive): the part of it that has gone with the chance. NULL where no values are forecast.';
COMMENT ON COLUMN marts.customers_at_risk.place IS '1 has the most at stake.';
