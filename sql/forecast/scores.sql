-- forecast.scores: the candidate: what each customer is expected to buy in the 12 months after the published day.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.buyers, expectations
-- Write: rebuilt, UNLOGGED. Without a model what is forecast is NULL; what no column holds is cut: the check sees it.

DROP TABLE IF EXISTS forecast.scores;

-- The planner knows nothing of t, which moves with the day.
SET LOCAL enable_mergejoin = off;

CREATE UNLOGGED TABLE forecast.scores AS
SELECT
    scored.customer_id,
    scored.as_of,
    scored.frequency,
    scored.recency,
    scored.t,
    scored.monetary_value,
    CASE
        WHEN scored.frequency = 0 THEN scored.once_p_alive
        ELSE forecast.rounded(scored.p_alive, 6, 1)::numeric(7, 6)
    END AS p_alive,
    CASE
        WHEN scored.frequency = 0 THEN scored.once_expected_orders
        ELSE forecast.rounded(scored.p_alive * scored.orders, 6, 1e7)::numeric(14, 6)
    END AS expected_orders,
    CASE
        WHEN scored.frequency = 0 THEN scored.once_expected_order_value
        ELSE forecast.rounded(scored.order_value, 2, 1e21)::numeric(24, 2)
    END AS expected_order_value,
    CASE
        WHEN scored.frequency = 0 THEN scored.once_expected_value
        ELSE forecast.rounded(scored.p_alive * scored.discounted_orders * scored.order_value, 2, 1e21)::numeric(24, 2)
    END AS expected_value,
    scored.model_no
FROM (
    SELECT
        buyers.customer_id,
        buyers.as_of,
        buyers.frequency,
        buyers.recency,
        buyers.t,
        buyers.monetary_value,
        expectations.orders,
        expectations.discounted_orders,
        expectations.once_p_alive,
        expectations.once_expected_orders,
        expectations.once_expected_order_value,
        expectations.once_expected_value,
        expectations.model_no,
        CASE
            WHEN buyers.frequency > 0 AND expectations.model_no IS NOT NULL
                THEN forecast.p_alive(
                    expectations.r, expectations.alpha, expectations.a, expectations.b,
                    buyers.frequency, buyers.recency, buyers.t
                )
        END AS p_alive,
        CASE
            WHEN buyers.frequency > 0
                THEN forecast.expected_order_value(
                    expectations.p, expectations.q, expectations.gamma,
                    buyers.frequency, buyers.mean_amount
                )
        END AS order_value
    FROM forecast.buyers
    INNER JOIN forecast.expectations
        ON buyers.frequency = expectations.frequency AND buyers.t = expectations.t
    -- What is used twice is computed once; forecast.score says the same of one customer, in twice the time.
    OFFSET '0' -- noqa: AM09
) AS scored;

-- That every one is another is seen from a few; the others' statistics nobody needs.
ALTER TABLE forecast.scores ALTER customer_id SET STATISTICS 10;
ANALYZE forecast.scores (customer_id);
