-- forecast.score: a customer's forecast, rounded as it is published; NULLs where there is no model, or none of values.
CREATE OR REPLACE FUNCTION forecast.score(
    r double precision, alpha double precision, a double precision, b double precision,
    p double precision, q double precision, gamma double precision,
    frequency integer, recency double precision, t double precision, monetary_value numeric,
    orders double precision, discounted_orders double precision
) RETURNS TABLE (p_alive numeric, expected_order_value numeric, expected_orders numeric, expected_value numeric)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        forecast.rounded(exact.p_alive, 6, 1)::numeric(7, 6) AS p_alive,
        forecast.rounded(exact.order_value, 2, 1e21)::numeric(24, 2) AS expected_order_value,
        forecast.rounded(exact.p_alive * exact.orders, 6, 1e7)::numeric(14, 6) AS expected_orders,
        forecast.rounded(
            exact.p_alive * exact.discounted_orders * exact.order_value, 2, 1e21
        )::numeric(24, 2) AS expected_value
    FROM (
        SELECT
            orders,
            discounted_orders,
            CASE WHEN r IS NOT NULL THEN forecast.p_alive(r, alpha, a, b, frequency, recency, t) END AS p_alive,
            forecast.expected_order_value(
                p, q, gamma, frequency, monetary_value::double precision
            ) AS order_value
    ) AS exact;
END;
COMMENT ON FUNCTION forecast.score(double precision, double precision, double precision, double precision, double precision, double precision, double precision, integer, double precision, double precision, numeric, double precision, double precision) IS 'A customer''s forecast, from the two models, what is known of the customer, and forecast.year_ahead; rounded as it is published. One row; NULLs where there is no model, or none of values.';
