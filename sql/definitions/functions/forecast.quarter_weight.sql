-- forecast.quarter_weight: what an order counts that is expected by the end of one of the next quarters, discounted.
-- Each is discounted from its middle; what is expected up to its end counts as in it, and no more as in the next one.
CREATE OR REPLACE FUNCTION forecast.quarter_weight(
    quarter integer, yearly_discount double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (1 + yearly_discount) ^ ((1 - 2 * quarter)::double precision / 8)
- CASE
    WHEN quarter = 4 THEN 0
    ELSE (1 + yearly_discount) ^ ((-1 - 2 * quarter)::double precision / 8)
END;
COMMENT ON FUNCTION forecast.quarter_weight(integer, double precision) IS 'What an order counts that is expected by the end of the first, second, third or fourth quarter from now, discounted.';
