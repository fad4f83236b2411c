-- forecast.rounded: a number with so many decimals, cut where it is greater than any that a column holds. By way of a
-- whole number, which takes a fifth of the time that the text takes by way of which PostgreSQL makes a numeric of a
-- double precision.
CREATE OR REPLACE FUNCTION forecast.rounded(
    number double precision, decimals integer, most double precision
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN number BETWEEN -1e12 AND 1e12 AND number <= most
        THEN round(number * 10 ^ decimals)::bigint * (CASE decimals WHEN 6 THEN 0.000001 WHEN 2 THEN 0.01 END)
    WHEN number > most THEN most::numeric
    ELSE round(number::numeric, decimals)
END;
COMMENT ON FUNCTION forecast.rounded(double precision, integer, double precision) IS 'The number, or most where it is greater, rounded to 2 or 6 decimals.';
