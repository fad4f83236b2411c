-- forecast.value_patterns: how many repeat customers have spent alike: all that the Gamma-Gamma model looks at.
-- Grain: one row per frequency and monetary_value.
-- Reads: forecast.customer_rfm
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.value_patterns;

CREATE TABLE forecast.value_patterns AS
SELECT
    customer_rfm.frequency,
    customer_rfm.monetary_value::double precision AS monetary_value,
    count(*) AS customers
FROM forecast.customer_rfm
WHERE customer_rfm.frequency > 0
GROUP BY customer_rfm.frequency, customer_rfm.monetary_value;

ANALYZE forecast.value_patterns;
