-- forecast.expected_order_value: what a customer's next purchase will come to, by the Gamma-Gamma model.
-- Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), equation 5: the own mean, drawn towards everybody's.
CREATE OR REPLACE FUNCTION forecast.expected_order_value(
    p double precision, q double precision, gamma double precision,
    frequency integer, monetary_value double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p * (gamma + monetary_value * frequency) / (p * frequency + q - 1);
COMMENT ON FUNCTION forecast.expected_order_value(double precision, double precision, double precision, integer, double precision) IS 'Expected amount of a purchase by a customer who has bought frequency times after the first purchase, for monetary_value on average; of one who has bought once, everybody''s mean.';
