-- forecast.scores: the candidate: what each customer is expected to buy in the 12 months after the published day.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.customer_rfm, forecast.clv_model, forecast.assumptions
-- Write: rebuilt. Without a model what is forecast is NULL.

DROP TABLE IF EXISTS forecast.scores;

CREATE TABLE forecast.scores AS
WITH model AS (
    SELECT
        clv_model.model_no,
        clv_model.r,
        clv_model.alpha,
        clv_model.a,
        clv_model.b,
        clv_model.p,
        clv_model.q,
        clv_model.gamma
    FROM forecast.clv_model
    -- Not one that knows of days that have been taken back since.
    WHERE clv_model.as_of <= (SELECT max(customer_rfm.as_of) FROM forecast.customer_rfm)
    ORDER BY clv_model.model_no DESC
    LIMIT 1
),

-- For everybody who has bought as often since the same day: far fewer than there are customers.
patterns AS (
    SELECT DISTINCT
        customer_rfm.frequency,
        customer_rfm.t
    FROM forecast.customer_rfm
),

expectations AS (
    SELECT
        patterns.frequency,
        patterns.t,
        expected.orders,
        expected.discounted_orders
    FROM patterns
    CROSS JOIN forecast.assumptions
    CROSS JOIN model
    CROSS JOIN
        LATERAL forecast.year_ahead(
            model.r, model.alpha, model.a, model.b,
            patterns.frequency, patterns.t, assumptions.yearly_discount, assumptions.weeks_a_year
        ) AS expected
)

SELECT
    customer_rfm.customer_id,
    customer_rfm.as_of,
    customer_rfm.frequency,
    customer_rfm.recency,
    customer_rfm.t,
    customer_rfm.monetary_value,
    score.p_alive,
    score.expected_orders,
    score.expected_order_value,
    score.expected_value,
    CASE WHEN model.r IS NOT NULL THEN model.model_no END AS model_no
FROM forecast.customer_rfm
LEFT JOIN model ON true
LEFT JOIN expectations
    ON customer_rfm.frequency = expectations.frequency AND customer_rfm.t = expectations.t
CROSS JOIN
    LATERAL forecast.score(
        model.r, model.alpha, model.a, model.b, model.p, model.q, model.gamma,
        customer_rfm.frequency, customer_rfm.recency, customer_rfm.t, customer_rfm.monetary_value,
        expectations.orders, expectations.discounted_orders
    ) AS score;

ANALYZE forecast.scores;
