-- forecast.digamma: the derivative of lgamma, which PostgreSQL has, for what is above 0.
-- Abramowitz, Stegun: Handbook of Mathematical Functions (1964), 6.3.18: an asymptotic series, exact enough from 10 on;
-- and 6.3.5, digamma(x) = digamma(x + 1) - 1 / x, ten times over.
CREATE OR REPLACE FUNCTION forecast.digamma(x double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ln(x + 10) - 1 / (2 * (x + 10))
- (1.0::double precision / 12 - (1.0::double precision / 120 - (1.0::double precision / 252 - (
    1.0::double precision / 240 - 1.0::double precision / 132 / (x + 10) ^ 2
) / (x + 10) ^ 2) / (x + 10) ^ 2) / (x + 10) ^ 2) / (x + 10) ^ 2
- 1 / x - 1 / (x + 1) - 1 / (x + 2) - 1 / (x + 3) - 1 / (x + 4)
- 1 / (x + 5) - 1 / (x + 6) - 1 / (x + 7) - 1 / (x + 8) - 1 / (x + 9);
COMMENT ON FUNCTION forecast.digamma(double precision) IS 'The derivative of lgamma, for a number above 0.';
