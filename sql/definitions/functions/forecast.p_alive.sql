-- forecast.p_alive: the chance that a customer still buys, by the BG/NBD model.
-- Fader, Hardie, Lee: Computing P(alive) Using the BG/NBD Model (2008), equation 7. Whoever has bought once had no
-- second purchase after which to leave: 1. Logarithms, so that no power is out of range.
CREATE OR REPLACE FUNCTION forecast.p_alive(
    r double precision, alpha double precision, a double precision, b double precision,
    frequency integer, recency double precision, t double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN frequency = 0 THEN 1
    ELSE
        1 / (
            1 + exp(
                greatest(
                    -700,
                    least(
                        700,
                        ln(a) - ln(b + frequency - 1) + (r + frequency) * (ln(alpha + t) - ln(alpha + recency))
                    )
                )
            )
        )
END;
COMMENT ON FUNCTION forecast.p_alive(double precision, double precision, double precision, double precision, integer, double precision, double precision) IS 'Chance that a customer with so many repeat purchases, the last of them recency weeks after the first one, t weeks ago, still buys.';
