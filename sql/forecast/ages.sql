-- forecast.ages: how many customers have first bought on the same day, and how often they have come back.
-- Grain: one row per t.
-- Reads: forecast.customer_rfm
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.ages;

CREATE TABLE forecast.ages AS
SELECT
    customer_rfm.t,
    count(*) AS customers,
    sum(customer_rfm.frequency) AS repeat_purchases
FROM forecast.customer_rfm
GROUP BY customer_rfm.t;

ANALYZE forecast.ages;
