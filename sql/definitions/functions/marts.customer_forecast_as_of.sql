-- marts.customer_forecast_as_of: customer_forecast as it was last published for a day, or else for the last one before.
-- With its owner's rights: analysts read marts alone, and what a forecast is made of stands in forecast.
CREATE OR REPLACE FUNCTION marts.customer_forecast_as_of(day date) RETURNS TABLE (
    customer_id bigint,
    as_of date,
    frequency integer,
    recency double precision,
    t double precision,
    monetary_value numeric,
    p_alive numeric,
    expected_orders numeric,
    expected_order_value numeric,
    expected_value numeric,
    model_no integer
)
LANGUAGE sql STABLE SECURITY DEFINER
-- As in marts.why, and in all that either calls: the caller's own types come last.
SET search_path = pg_catalog, pg_temp
-- Everybody's rows are looked at.
SET work_mem = '256MB'
AS $$
    WITH published AS (
        SELECT
            publishes.publish_no,
            publishes.as_of,
            publishes.yearly_discount,
            publishes.weeks_a_year,
            publishes.model_no,
            clv_model.r,
            clv_model.alpha,
            clv_model.a,
            clv_model.b,
            clv_model.p,
            clv_model.q,
            clv_model.gamma
        FROM forecast.publishes
        LEFT JOIN forecast.clv_model ON publishes.model_no = clv_model.model_no
        WHERE publishes.as_of <= day
        ORDER BY publishes.publish_no DESC
        LIMIT 1
    ),

    known AS (
        SELECT DISTINCT ON (history.customer_id) history.*
        FROM forecast.customer_forecast_history AS history
        WHERE history.publish_no <= (SELECT published.publish_no FROM published)
        ORDER BY history.customer_id ASC, history.publish_no DESC
    ),

    customers AS (
        SELECT
            known.customer_id,
            known.frequency,
            (known.last_order_date - known.first_order_date)::double precision / 7 AS recency,
            (published.as_of - known.first_order_date)::double precision / 7 AS t,
            known.monetary_value
        FROM known
        CROSS JOIN published
        WHERE known.first_order_date IS NOT NULL
    ),

    patterns AS (
        SELECT DISTINCT
            customers.frequency,
            customers.t
        FROM customers
    ),

    -- Once per pattern, not per customer.
    expectations AS MATERIALIZED (
        SELECT
            patterns.frequency,
            patterns.t,
            expected.orders,
            expected.discounted_orders
        FROM patterns
        CROSS JOIN published
        CROSS JOIN LATERAL forecast.year_ahead(
            published.r, published.alpha, published.a, published.b,
            patterns.frequency, patterns.t, published.yearly_discount, published.weeks_a_year
        ) AS expected
    )

    SELECT
        customers.customer_id,
        published.as_of,
        customers.frequency,
        customers.recency,
        customers.t,
        customers.monetary_value,
        score.p_alive,
        score.expected_orders,
        score.expected_order_value,
        score.expected_value,
        published.model_no
    FROM customers
    CROSS JOIN published
    INNER JOIN expectations ON customers.frequency = expectations.frequency AND customers.t = expectations.t
    CROSS JOIN LATERAL forecast.score(
        published.r, published.alpha, published.a, published.b, published.p, published.q, published.gamma,
        customers.frequency, customers.recency, customers.t, customers.monetary_value,
        expectations.orders, expectations.discounted_orders
    ) AS score
$$;
COMMENT ON FUNCTION marts.customer_forecast_as_of(date) IS 'customer_forecast as it was last published for a day, or else for the last one before; nothing for a day before the first, the newest for a day to come. Computed again from what was known then, by the model of then. One row per customer_id.';
