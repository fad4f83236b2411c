-- forecast.purchase_patterns: how many customers have come back in the same way: what BG/NBD looks at one by one.
-- Grain: one row per frequency, recency and t, of whoever has bought on two days or more.
-- Reads: forecast.customer_rfm
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.purchase_patterns;

CREATE TABLE forecast.purchase_patterns AS
SELECT
    customer_rfm.frequency,
    customer_rfm.recency,
    customer_rfm.t,
    count(*) AS customers
FROM forecast.customer_rfm
WHERE customer_rfm.frequency > 0
GROUP BY customer_rfm.frequency, customer_rfm.recency, customer_rfm.t;

ANALYZE forecast.purchase_patterns;
