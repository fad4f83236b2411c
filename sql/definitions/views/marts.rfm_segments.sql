-- marts.rfm_segments: the usual names for customers, by how recently and how often they have bought.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.customer_forecast
-- Write: a view. A score is a fifth of the customers: whoever is behind 80 % of them or more has 1.
CREATE OR REPLACE VIEW marts.rfm_segments AS
WITH scored AS (
    SELECT
        customer_forecast.customer_id,
        customer_forecast.as_of,
        -- Equals have equal scores, so days, not weeks; the very first would have a sixth.
        least(
            5,
            1 + floor(
                5 * percent_rank() OVER (ORDER BY round((customer_forecast.recency - customer_forecast.t) * 7))
            )
        )::integer AS recency_score,
        least(
            5, 1 + floor(5 * percent_rank() OVER (ORDER BY customer_forecast.frequency))
        )::integer AS frequency_score,
        least(
            5, 1 + floor(5 * percent_rank() OVER (ORDER BY customer_forecast.monetary_value))
        )::integer AS monetary_score
    FROM forecast.customer_forecast
)

SELECT
    scored.customer_id,
    scored.as_of,
    scored.recency_score,
    scored.frequency_score,
    scored.monetary_score,
    CASE
        WHEN scored.recency_score >= 4 AND scored.frequency_score >= 4 THEN 'champions'
        WHEN scored.recency_score >= 4 AND scored.frequency_score >= 2 THEN 'potential loyalists'
        WHEN scored.recency_score = 5 THEN 'new customers'
        WHEN scored.recency_score = 4 THEN 'promising'
        WHEN scored.recency_score = 3 AND scored.frequency_score >= 4 THEN 'loyal customers'
        WHEN scored.recency_score = 3 AND scored.frequency_score = 3 THEN 'need attention'
        WHEN scored.recency_score = 3 THEN 'about to sleep'
        WHEN scored.frequency_score = 5 THEN 'cannot lose them'
        WHEN scored.frequency_score >= 3 THEN 'at risk'
        WHEN scored.recency_score = 2 THEN 'hibernating'
        ELSE 'lost'
    END AS segment
FROM scored;
COMMENT ON VIEW marts.rfm_segments IS 'The usual names for customers, by how recently and how often they have bought. One row per customer_id with a paid order.';
COMMENT ON COLUMN marts.rfm_segments.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.rfm_segments.as_of IS 'The day of the forecast that it was made with.';
COMMENT ON COLUMN marts.rfm_segments.recency_score IS 'Fifth of the customers by the last day with a paid order: 5 is the most recent.';
COMMENT ON COLUMN marts.rfm_segments.frequency_score IS 'Fifth by the number of such days: 5 is the most often.';
COMMENT ON COLUMN marts.rfm_segments.monetary_score IS 'Fifth by monetary_value: 5 is the highest. It names no segment.';
COMMENT ON COLUMN marts.rfm_segments.segment IS 'champions, loyal customers, potential loyalists, new customers, promising, need attention, about to sleep, at risk, cannot lose them, hibernating or lost.';
