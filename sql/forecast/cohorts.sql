-- forecast.cohorts: how many customers first bought on the same day and came back as often; of all, and of samples.
-- Grain: one row per share of the customers (per cent), frequency and t.
-- Reads: forecast.customer_rfm
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.cohorts;

-- Where a sample has no page of a small table, it has no rows here, and the search does without it.
CREATE TABLE forecast.cohorts AS
SELECT
    100 AS share,
    customer_rfm.frequency,
    customer_rfm.t,
    count(*) AS customers,
    -- Whoever bought once has no part in the model of values.
    sum(ln(customer_rfm.repeat_amount / customer_rfm.frequency)) FILTER (
        WHERE customer_rfm.frequency > 0
    ) AS sum_of_log_values
FROM forecast.customer_rfm
GROUP BY customer_rfm.frequency, customer_rfm.t;

INSERT INTO forecast.cohorts (share, frequency, t, customers, sum_of_log_values)
SELECT
    samples.share,
    sampled.frequency,
    sampled.t,
    count(*) AS customers,
    sum(ln(sampled.repeat_amount / sampled.frequency)) FILTER (WHERE sampled.frequency > 0) AS sum_of_log_values
FROM (VALUES (1), (10)) AS samples (share)
CROSS JOIN LATERAL forecast.sampled(samples.share) AS sampled
GROUP BY samples.share, sampled.frequency, sampled.t;

-- The search asks for the smallest sample most often.
CREATE INDEX ON forecast.cohorts (share);

ANALYZE forecast.cohorts;
