-- forecast.scores: the candidate: what each customer is expected to buy in the 12 months after the published day.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.customer_rfm, expectations
-- Write: rebuilt, UNLOGGED. Without a model what is forecast is NULL; what no column holds is cut: the check sees it.

DROP TABLE IF EXISTS forecast.scores;

CREATE UNLOGGED TABLE forecast.scores AS
SELECT
    scored.customer_id,
    scored.as_of,
    scored.frequency,
    scored.recency,
    scored.t,
    scored.monetary_value,
    forecast.rounded(scored.p_alive, 6)::numeric(7, 6) AS p_alive,
    CASE
        WHEN scored.p_alive * scored.orders > 1e7 THEN 1e7
        ELSE forecast.rounded(scored.p_alive * scored.orders, 6)
    END::numeric(14, 6) AS expected_orders,
    CASE
        WHEN scored.order_value > 1e21 THEN 1e21
        ELSE forecast.rounded(scored.order_value, 2)
    END::numeric(24, 2) AS expected_order_value,
    CASE
        WHEN scored.p_alive * scored.discounted_orders * scored.order_value > 1e21 THEN 1e21
        ELSE forecast.rounded(scored.p_alive * scored.discounted_orders * scored.order_value, 2)
    END::numeric(24, 2) AS expected_value,
    scored.model_no
FROM (
    SELECT
        customer_rfm.customer_id,
        customer_rfm.as_of,
        customer_rfm.frequency,
        customer_rfm.recency,
        customer_rfm.t,
        customer_rfm.monetary_value,
        expectations.orders,
        expectations.discounted_orders,
        expectations.model_no,
        CASE
            WHEN expectations.model_no IS NOT NULL
                THEN forecast.p_alive(
                    expectations.r, expectations.alpha, expectations.a, expectations.b,
                    customer_rfm.frequency, customer_rfm.recency, customer_rfm.t
                )
        END AS p_alive,
        forecast.expected_order_value(
            expectations.p, expectations.q, expectations.gamma,
            customer_rfm.frequency, customer_rfm.monetary_value::double precision
        ) AS order_value
    FROM forecast.customer_rfm
    INNER JOIN forecast.expectations
        ON customer_rfm.frequency = expectations.frequency AND customer_rfm.t = expectations.t
    -- What is used twice is computed once; forecast.score says the same of one customer, in twice the time.
    OFFSET '0' -- noqa: AM09
) AS scored;

-- The others' statistics nobody needs.
ANALYZE forecast.scores (customer_id);
