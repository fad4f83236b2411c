-- forecast.calibration: what a model expected, and what has happened since, by how often customers had bought by then.
-- Grain: one row per frequency, from 7 on all together.
-- Reads: forecast.active_models, forecast.buying_days, forecast.assumptions, marts.freshness
-- Write: a view. It judges the youngest model that is old enough; of days before its own it takes what is known now.
CREATE OR REPLACE VIEW forecast.calibration AS
WITH judged AS (
    SELECT
        active_models.model_no,
        active_models.as_of,
        freshness.as_of AS until,
        active_models.r,
        active_models.alpha,
        active_models.a,
        active_models.b
    FROM forecast.active_models
    CROSS JOIN marts.freshness
    CROSS JOIN forecast.assumptions
    WHERE active_models.r IS NOT NULL AND active_models.as_of <= freshness.as_of - assumptions.judged_after_days
    ORDER BY active_models.as_of DESC, active_models.model_no DESC
    LIMIT 1
),

customers AS (
    SELECT
        buying_days.customer_id,
        judged.model_no,
        judged.as_of,
        judged.until,
        count(*) FILTER (WHERE buying_days.order_date <= judged.as_of) - 1 AS frequency,
        min(buying_days.order_date) AS first_order_date,
        max(buying_days.order_date) FILTER (WHERE buying_days.order_date <= judged.as_of) AS last_order_date,
        count(*) FILTER (WHERE buying_days.order_date > judged.as_of) AS actual_orders
    FROM forecast.buying_days
    INNER JOIN judged ON buying_days.order_date <= judged.until
    GROUP BY buying_days.customer_id, judged.model_no, judged.as_of, judged.until
),

-- All that bought in the same way by then have one forecast.
patterns AS (
    SELECT
        customers.frequency::integer AS frequency,
        customers.first_order_date,
        customers.last_order_date,
        count(*) AS customers,
        sum(customers.actual_orders) AS actual_orders
    FROM customers
    WHERE customers.first_order_date <= customers.as_of
    GROUP BY customers.frequency, customers.first_order_date, customers.last_order_date
),

since AS (
    SELECT
        patterns.frequency,
        patterns.first_order_date,
        forecast.expected_orders(
            judged.r, judged.alpha, judged.a, judged.b, patterns.frequency,
            (judged.as_of - patterns.first_order_date)::double precision / 7,
            (judged.until - judged.as_of)::double precision / 7
        ) AS orders
    FROM (
        SELECT DISTINCT
            patterns.frequency,
            patterns.first_order_date
        FROM patterns
    ) AS patterns
    CROSS JOIN judged
)

SELECT
    judged.model_no,
    judged.as_of,
    judged.until,
    least(patterns.frequency, 7) AS frequency,
    sum(patterns.customers)::bigint AS customers,
    sum(
        patterns.customers * since.orders * forecast.p_alive(
            judged.r, judged.alpha, judged.a, judged.b, patterns.frequency,
            (patterns.last_order_date - patterns.first_order_date)::double precision / 7,
            (judged.as_of - patterns.first_order_date)::double precision / 7
        )
    )::numeric(20, 2) AS expected_orders,
    sum(patterns.actual_orders)::bigint AS actual_orders
FROM patterns
INNER JOIN since
    ON patterns.frequency = since.frequency AND patterns.first_order_date = since.first_order_date
CROSS JOIN judged
GROUP BY judged.model_no, judged.as_of, judged.until, least(patterns.frequency, 7);
COMMENT ON VIEW forecast.calibration IS 'What the youngest model that is old enough (forecast.assumptions) expected, and what has happened since. One row per frequency, from 7 on all together.';
COMMENT ON COLUMN forecast.calibration.model_no IS 'The model.';
COMMENT ON COLUMN forecast.calibration.as_of IS 'The last day that it knew of.';
COMMENT ON COLUMN forecast.calibration.until IS 'The published day, to which it is followed.';
COMMENT ON COLUMN forecast.calibration.frequency IS 'Days with a paid order up to as_of, the first one not counted; 7 stands for 7 or more.';
COMMENT ON COLUMN forecast.calibration.customers IS 'Customers who had bought so often.';
COMMENT ON COLUMN forecast.calibration.expected_orders IS 'Days with a paid order that the model expected of them after as_of.';
COMMENT ON COLUMN forecast.calibration.actual_orders IS 'Those that there were.';
