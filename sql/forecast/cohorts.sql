-- forecast.cohorts: how many customers first bought on the same day and came back as often.
-- Grain: one row per frequency and t; and per share of all (per cent) and one of these, where the other one is NULL.
-- Reads: forecast.buyers, freshness
-- Write: rebuilt.

-- Few groups are left of many rows: that workers count them pays.
SET LOCAL parallel_tuple_cost = 0;

DROP TABLE IF EXISTS forecast.cohorts;

CREATE TABLE forecast.cohorts AS
WITH counted AS (
    SELECT
        buyers.sample,
        buyers.frequency,
        ((SELECT freshness.as_of FROM forecast.freshness) - buyers.first_order_date)::double precision / 7 AS t,
        count(*)::double precision AS customers,
        -- Whoever bought once has no part in the model of values.
        sum(ln(buyers.repeat_amount / buyers.frequency)) FILTER (WHERE buyers.frequency > 0) AS sum_of_log_values
    FROM forecast.buyers
    GROUP BY buyers.sample, buyers.frequency, buyers.first_order_date
)

SELECT
    shares.share,
    counted.frequency,
    counted.t,
    sum(counted.customers) AS customers,
    sum(counted.customers * counted.frequency) AS repeat_purchases,
    sum(counted.sum_of_log_values) AS sum_of_log_values
FROM counted
INNER JOIN (VALUES (1), (10), (100)) AS shares (share) ON counted.sample <= shares.share
GROUP BY
    GROUPING SETS (
        (shares.share, counted.frequency, counted.t), (shares.share, counted.frequency), (shares.share, counted.t)
    )
-- The samples are for the search, which looks at one of the two.
HAVING shares.share = 100 OR grouping(counted.frequency, counted.t) > 0;

CREATE INDEX ON forecast.cohorts (share) WHERE frequency IS NULL OR t IS NULL;

ANALYZE forecast.cohorts (share, frequency, t);
