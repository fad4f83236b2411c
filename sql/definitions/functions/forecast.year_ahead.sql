-- forecast.year_ahead: what is expected in the next 12 months of whoever still buys, and the same discounted.
CREATE OR REPLACE FUNCTION forecast.year_ahead(
    r double precision, alpha double precision, a double precision, b double precision,
    frequency integer, t double precision, yearly_discount double precision, weeks_a_year double precision
) RETURNS TABLE (orders double precision, discounted_orders double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        max(
            forecast.expected_orders(r, alpha, a, b, frequency, t, quarter.number * weeks_a_year / 4)
        ) FILTER (WHERE quarter.number = 4) AS orders,
        sum(
            forecast.expected_orders(r, alpha, a, b, frequency, t, quarter.number * weeks_a_year / 4)
            * forecast.quarter_weight(quarter.number, yearly_discount)
        ) AS discounted_orders
    FROM generate_series(1, 4) AS quarter (number);
END;
COMMENT ON FUNCTION forecast.year_ahead(double precision, double precision, double precision, double precision, integer, double precision, double precision, double precision) IS 'Days with a paid order to expect in the next 12 months of a customer who still buys, and the same discounted. One row.';
