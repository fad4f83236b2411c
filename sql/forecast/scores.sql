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

-- Each quarter is discounted from its middle.
quarters AS (
    SELECT
        quarter.number,
        quarter.number * assumptions.weeks_a_year / 4 AS weeks,
        (1 + assumptions.yearly_discount) ^ -((quarter.number - 0.5) / 4) AS discount
    FROM forecast.assumptions
    CROSS JOIN generate_series(1, 4) AS quarter (number)
),

-- What is expected up to the end of a quarter counts as in it, and no more as in the next one.
weighted AS (
    SELECT
        quarters.number,
        quarters.weeks,
        quarters.discount - coalesce(lead(quarters.discount) OVER (ORDER BY quarters.number), 0) AS weight
    FROM quarters
),

-- For everybody who has bought as often since the same day: far fewer than there are customers.
patterns AS (
    SELECT DISTINCT
        customer_rfm.frequency,
        customer_rfm.t
    FROM forecast.customer_rfm
),

expected AS (
    SELECT
        patterns.frequency,
        patterns.t,
        weighted.number,
        weighted.weight,
        forecast.expected_orders(
            model.r, model.alpha, model.a, model.b, patterns.frequency, patterns.t, weighted.weeks
        ) AS orders
    FROM patterns
    CROSS JOIN model
    CROSS JOIN weighted
),

expectations AS (
    SELECT
        expected.frequency,
        expected.t,
        max(expected.orders) FILTER (WHERE expected.number = 4) AS orders,
        sum(expected.orders * expected.weight) AS discounted_orders
    FROM expected
    GROUP BY expected.frequency, expected.t
),

customers AS (
    SELECT
        customer_rfm.customer_id,
        customer_rfm.as_of,
        customer_rfm.frequency,
        customer_rfm.recency,
        customer_rfm.t,
        customer_rfm.monetary_value,
        expectations.orders,
        expectations.discounted_orders,
        CASE WHEN model.r IS NOT NULL THEN model.model_no END AS model_no,
        CASE
            WHEN model.r IS NOT NULL
                THEN forecast.p_alive(
                    model.r, model.alpha, model.a, model.b,
                    customer_rfm.frequency, customer_rfm.recency, customer_rfm.t
                )
        END AS p_alive,
        forecast.expected_order_value(
            model.p, model.q, model.gamma,
            customer_rfm.frequency, customer_rfm.monetary_value::double precision
        ) AS order_value
    FROM forecast.customer_rfm
    LEFT JOIN model ON true
    LEFT JOIN expectations
        ON customer_rfm.frequency = expectations.frequency AND customer_rfm.t = expectations.t
)

SELECT
    customers.customer_id,
    customers.as_of,
    customers.frequency,
    customers.recency,
    customers.t,
    customers.monetary_value,
    customers.p_alive::numeric(7, 6) AS p_alive,
    (customers.p_alive * customers.orders)::numeric(14, 6) AS expected_orders,
    customers.order_value::numeric(24, 2) AS expected_order_value,
    (customers.p_alive * customers.discounted_orders * customers.order_value)::numeric(24, 2) AS expected_value,
    customers.model_no
FROM customers;

ANALYZE forecast.scores;
