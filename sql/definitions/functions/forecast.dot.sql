-- forecast.dot: the sum of the products of 32 numbers with 32 others, from a place on. Written out, for speed.
CREATE OR REPLACE FUNCTION forecast.dot(
    ours double precision[], theirs double precision[], first integer
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ours[first + 1] * theirs[first + 1] + ours[first + 2] * theirs[first + 2]
+ ours[first + 3] * theirs[first + 3] + ours[first + 4] * theirs[first + 4]
+ ours[first + 5] * theirs[first + 5] + ours[first + 6] * theirs[first + 6]
+ ours[first + 7] * theirs[first + 7] + ours[first + 8] * theirs[first + 8]
+ ours[first + 9] * theirs[first + 9] + ours[first + 10] * theirs[first + 10]
+ ours[first + 11] * theirs[first + 11] + ours[first + 12] * theirs[first + 12]
+ ours[first + 13] * theirs[first + 13] + ours[first + 14] * theirs[first + 14]
+ ours[first + 15] * theirs[first + 15] + ours[first + 16] * theirs[first + 16]
+ ours[first + 17] * theirs[first + 17] + ours[first + 18] * theirs[first + 18]
+ ours[first + 19] * theirs[first + 19] + ours[first + 20] * theirs[first + 20]
+ ours[first + 21] * theirs[first + 21] + ours[first + 22] * theirs[first + 22]
+ ours[first + 23] * theirs[first + 23] + ours[first + 24] * theirs[first + 24]
+ ours[first + 25] * theirs[first + 25] + ours[first + 26] * theirs[first + 26]
+ ours[first + 27] * theirs[first + 27] + ours[first + 28] * theirs[first + 28]
+ ours[first + 29] * theirs[first + 29] + ours[first + 30] * theirs[first + 30]
+ ours[first + 31] * theirs[first + 31] + ours[first + 32] * theirs[first + 32];
COMMENT ON FUNCTION forecast.dot(double precision[], double precision[], integer) IS 'Sum of the products of 32 numbers with 32 others, those behind the first so many.';
