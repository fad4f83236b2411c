-- forecast.nearness: how near one of the points between which is interpolated is to what is asked for.
CREATE OR REPLACE FUNCTION forecast.nearness(
    place double precision, weight double precision,
    t double precision, alpha double precision, half double precision, weeks double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- On a point it is that point, and no division by 0.
RETURN weight / coalesce(nullif(ln(1 + weeks / (alpha + t)) / half - 1 - place, 0), 1e-300);
COMMENT ON FUNCTION forecast.nearness(double precision, double precision, double precision, double precision, double precision, double precision) IS 'How much a point (its place from -1 to 1, and weight) counts for what is expected within so many weeks at the age t, where half of what these reach over is given: forecast.expectations.';
