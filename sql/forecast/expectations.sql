-- forecast.expectations: what whoever has bought so often since the same day will buy in 12 months, if he still buys.
-- Grain: one row per frequency and t.
-- Reads: forecast.cohorts, freshness, active_models, assumptions
-- Write: rebuilt. Without a model what is expected is NULL.

DROP TABLE IF EXISTS forecast.expectations;

CREATE TABLE forecast.expectations AS
WITH model AS (
    SELECT
        active_models.model_no,
        active_models.r,
        active_models.alpha,
        active_models.a,
        active_models.b,
        active_models.p,
        active_models.q,
        active_models.gamma
    FROM forecast.active_models
    -- Not one that knows of days that have been taken back since.
    WHERE active_models.as_of <= (SELECT freshness.as_of FROM forecast.freshness)
    ORDER BY active_models.model_no DESC
    LIMIT 1
),

cohorts AS (
    SELECT
        cohorts.frequency,
        cohorts.t
    FROM forecast.cohorts
    WHERE cohorts.frequency IS NOT NULL AND cohorts.t IS NOT NULL
),

-- For a frequency, what is expected hangs on ln(1 + weeks / (alpha + t)) alone, and smoothly: it is computed at some
-- points from 0 to where that is greatest (Chebyshev's); between them it is on the curve through them, to nine digits.
-- The more alike customers are (r), the more sudden it bends.
points AS (
    SELECT
        point.number,
        cos(pi() * (point.number - 0.5) / counted.points) AS place,
        (-1) ^ point.number * sin(pi() * (point.number - 0.5) / counted.points) AS weight
    FROM (
        SELECT CASE WHEN model.r < 5 THEN 32 ELSE 96 END AS points
        FROM model
    ) AS counted
    CROSS JOIN generate_series(1, counted.points) AS point (number)
),

reach AS (
    SELECT
        ln(1 + assumptions.weeks_a_year / (model.alpha + (SELECT min(cohorts.t) FROM cohorts))) / 2 AS half,
        assumptions.weeks_a_year / 4 AS quarter
    FROM forecast.assumptions
    INNER JOIN model ON model.r IS NOT NULL
),

computed AS MATERIALIZED (
    SELECT
        frequencies.frequency,
        array_agg(
            forecast.expected_orders(
                model.r, model.alpha, model.a, model.b, frequencies.frequency,
                0, model.alpha * (exp(reach.half * (1 + points.place)) - 1)
            ) ORDER BY points.number
        ) AS orders
    FROM (
        SELECT DISTINCT cohorts.frequency
        FROM cohorts
    ) AS frequencies
    CROSS JOIN points
    CROSS JOIN reach
    CROSS JOIN model
    GROUP BY frequencies.frequency
),

-- How much each point counts, by Lagrange's formula in its barycentric form (Berrut, Trefethen, SIAM Review 46, 2004):
-- its nearness, as a share of that of all.
near AS (
    SELECT
        ages.t,
        points.number,
        forecast.nearness(points.place, points.weight, ages.t, model.alpha, reach.half, 1 * reach.quarter) AS first,
        forecast.nearness(points.place, points.weight, ages.t, model.alpha, reach.half, 2 * reach.quarter) AS second,
        forecast.nearness(points.place, points.weight, ages.t, model.alpha, reach.half, 3 * reach.quarter) AS third,
        forecast.nearness(points.place, points.weight, ages.t, model.alpha, reach.half, 4 * reach.quarter) AS fourth
    FROM (
        SELECT DISTINCT cohorts.t
        FROM cohorts
    ) AS ages
    CROSS JOIN points
    CROSS JOIN reach
    CROSS JOIN model
    -- Nothing twice.
    OFFSET '0' -- noqa: AM09
),

parts AS (
    SELECT
        near.t,
        near.number,
        near.first / sum(near.first) OVER every_point AS first,
        near.second / sum(near.second) OVER every_point AS second,
        near.third / sum(near.third) OVER every_point AS third,
        near.fourth / sum(near.fourth) OVER every_point AS fourth
    FROM near
    WINDOW every_point AS (PARTITION BY near.t)
),

counts AS MATERIALIZED (
    SELECT
        parts.t,
        array_agg(parts.fourth ORDER BY parts.number) AS parts,
        array_agg(
            parts.first * forecast.quarter_weight(1, assumptions.yearly_discount)
            + parts.second * forecast.quarter_weight(2, assumptions.yearly_discount)
            + parts.third * forecast.quarter_weight(3, assumptions.yearly_discount)
            + parts.fourth * forecast.quarter_weight(4, assumptions.yearly_discount)
            ORDER BY parts.number
        ) AS discounted_parts
    FROM parts
    CROSS JOIN forecast.assumptions
    GROUP BY parts.t
),

expected AS MATERIALIZED (
    SELECT
        cohorts.frequency,
        cohorts.t,
        CASE WHEN model.r IS NOT NULL THEN model.model_no END AS model_no,
        model.r,
        model.alpha,
        model.a,
        model.b,
        model.p,
        model.q,
        model.gamma,
        forecast.dot_product(computed.orders, counts.parts) AS orders,
        forecast.dot_product(computed.orders, counts.discounted_parts) AS discounted_orders
    FROM cohorts
    LEFT JOIN model ON true
    LEFT JOIN computed ON cohorts.frequency = computed.frequency
    LEFT JOIN counts ON cohorts.t = counts.t
),

-- Whoever has bought once is forecast like everybody else who has since the same day.
once AS (
    SELECT
        expected.t,
        score.p_alive,
        score.expected_orders,
        score.expected_order_value,
        score.expected_value
    FROM expected
    CROSS JOIN
        LATERAL
        forecast.score(
            expected.r, expected.alpha, expected.a, expected.b, expected.p, expected.q, expected.gamma,
            expected.frequency, 0, expected.t, 0, expected.orders, expected.discounted_orders
        ) AS score
    WHERE expected.frequency = 0
)

SELECT
    expected.frequency,
    expected.t,
    expected.model_no,
    expected.r,
    expected.alpha,
    expected.a,
    expected.b,
    expected.p,
    expected.q,
    expected.gamma,
    expected.orders,
    expected.discounted_orders,
    once.p_alive::numeric(7, 6) AS once_p_alive,
    once.expected_orders::numeric(14, 6) AS once_expected_orders,
    once.expected_order_value::numeric(24, 2) AS once_expected_order_value,
    once.expected_value::numeric(24, 2) AS once_expected_value
FROM expected
LEFT JOIN once ON expected.frequency = 0 AND expected.t = once.t;

ANALYZE forecast.expectations (frequency, t);
