-- forecast.dot: the sum of the products of twenty numbers with twenty others. Written out: a loop takes far longer.
CREATE OR REPLACE FUNCTION forecast.dot(ours double precision[], theirs double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ours[1] * theirs[1] + ours[2] * theirs[2] + ours[3] * theirs[3] + ours[4] * theirs[4] + ours[5] * theirs[5]
+ ours[6] * theirs[6] + ours[7] * theirs[7] + ours[8] * theirs[8] + ours[9] * theirs[9] + ours[10] * theirs[10]
+ ours[11] * theirs[11] + ours[12] * theirs[12] + ours[13] * theirs[13] + ours[14] * theirs[14] + ours[15] * theirs[15]
+ ours[16] * theirs[16] + ours[17] * theirs[17] + ours[18] * theirs[18] + ours[19] * theirs[19] + ours[20] * theirs[20];
COMMENT ON FUNCTION forecast.dot(double precision[], double precision[]) IS 'Sum of the products of twenty numbers with twenty others.';
