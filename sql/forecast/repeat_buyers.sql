-- forecast.repeat_buyers: what the search for the best fit looks at one by one: who has come back, when, for how much.
-- Grain: one row per customer who has bought on two days or more.
-- Reads: forecast.buyers
-- Write: rebuilt, UNLOGGED. As narrow as can be: it is read some sixty times, or a sample of it.

DROP TABLE IF EXISTS forecast.repeat_buyers;

CREATE UNLOGGED TABLE forecast.repeat_buyers AS
SELECT
    buyers.frequency::double precision AS frequency,
    buyers.recency,
    buyers.t,
    buyers.repeat_amount,
    buyers.sample
FROM forecast.buyers
WHERE buyers.frequency > 0;

CREATE INDEX ON forecast.repeat_buyers (sample) WHERE sample < 100;

-- Three values are seen from a few rows.
ALTER TABLE forecast.repeat_buyers ALTER sample SET STATISTICS 10;
ANALYZE forecast.repeat_buyers (sample);
