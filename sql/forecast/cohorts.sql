-- forecast.cohorts: how many customers first bought on the same day and came back as often.
-- Grain: one row per frequency and t; and per share of all (per cent) and one of these, where the other one is NULL.
-- Reads: forecast.buyers, freshness
-- Write: rebuilt.

DROP TABLE IF EXISTS forecast.cohorts;

CREATE TABLE forecast.cohorts AS
WITH bought AS (
    SELECT
        buyers.frequency,
        buyers.first_order_date,
        forecast.sample_of(buyers.customer_id) AS sample,
        -- Whoever bought once has no part in the model of values.
        CASE WHEN buyers.frequency > 0 THEN ln(buyers.repeat_amount / buyers.frequency) END AS log_value
    FROM forecast.buyers
    -- Nothing twice.
    OFFSET '0' -- noqa: AM09
),

counted AS (
    SELECT
        bought.frequency,
        ((SELECT freshness.as_of FROM forecast.freshness) - bought.first_order_date)::double precision / 7 AS t,
        count(*) FILTER (WHERE bought.sample <= 1) AS customers_1,
        count(*) FILTER (WHERE bought.sample <= 10) AS customers_10,
        count(*) AS customers_100,
        sum(bought.log_value) FILTER (WHERE bought.sample <= 1) AS sum_of_log_values_1,
        sum(bought.log_value) FILTER (WHERE bought.sample <= 10) AS sum_of_log_values_10,
        sum(bought.log_value) AS sum_of_log_values_100
    FROM bought
    GROUP BY bought.frequency, bought.first_order_date
)

SELECT
    sampled.share,
    counted.frequency,
    counted.t,
    sum(sampled.customers) AS customers,
    sum(sampled.customers * counted.frequency) AS repeat_purchases,
    sum(sampled.sum_of_log_values) AS sum_of_log_values
FROM counted
CROSS JOIN
    LATERAL (
        VALUES
        (1, counted.customers_1::double precision, counted.sum_of_log_values_1),
        (10, counted.customers_10, counted.sum_of_log_values_10),
        (100, counted.customers_100, counted.sum_of_log_values_100)
    ) AS sampled (share, customers, sum_of_log_values)
WHERE sampled.customers > 0
GROUP BY
    GROUPING SETS (
        (sampled.share, counted.frequency, counted.t),
        (sampled.share, counted.frequency),
        (sampled.share, counted.t)
    )
-- The samples are for the search, which looks at one of the two.
HAVING sampled.share = 100 OR grouping(counted.frequency, counted.t) > 0;

CREATE INDEX ON forecast.cohorts (share) WHERE frequency IS NULL OR t IS NULL;

ANALYZE forecast.cohorts;
