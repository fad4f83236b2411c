-- forecast.dot_product: the sum of the products of 32 or 96 numbers with as many others.
CREATE OR REPLACE FUNCTION forecast.dot_product(
    ours double precision[], theirs double precision[]
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN forecast.dot(ours, theirs, 0)
+ CASE
    WHEN cardinality(ours) = 32 THEN 0
    ELSE forecast.dot(ours, theirs, 32) + forecast.dot(ours, theirs, 64)
END;
COMMENT ON FUNCTION forecast.dot_product(double precision[], double precision[]) IS 'Sum of the products of 32 or 96 numbers with as many others.';
