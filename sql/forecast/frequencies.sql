-- forecast.frequencies: how many customers have bought how often.
-- Grain: one row per frequency.
-- Reads: forecast.customer_rfm
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.frequencies;

CREATE TABLE forecast.frequencies AS
SELECT
    customer_rfm.frequency,
    count(*) AS customers,
    -- Whoever bought once has no part in the model of values.
    sum(ln(customer_rfm.monetary_value::double precision)) FILTER (
        WHERE customer_rfm.frequency > 0
    ) AS sum_of_log_values
FROM forecast.customer_rfm
GROUP BY customer_rfm.frequency;

ANALYZE forecast.frequencies;
