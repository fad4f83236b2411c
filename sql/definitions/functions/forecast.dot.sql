-- forecast.dot: the sum of the products of 32 or 96 numbers with as many others. Written out: a loop takes far longer.
CREATE OR REPLACE FUNCTION forecast.dot(ours double precision[], theirs double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ours[1] * theirs[1] + ours[2] * theirs[2] + ours[3] * theirs[3] + ours[4] * theirs[4]
+ ours[5] * theirs[5] + ours[6] * theirs[6] + ours[7] * theirs[7] + ours[8] * theirs[8]
+ ours[9] * theirs[9] + ours[10] * theirs[10] + ours[11] * theirs[11] + ours[12] * theirs[12]
+ ours[13] * theirs[13] + ours[14] * theirs[14] + ours[15] * theirs[15] + ours[16] * theirs[16]
+ ours[17] * theirs[17] + ours[18] * theirs[18] + ours[19] * theirs[19] + ours[20] * theirs[20]
+ ours[21] * theirs[21] + ours[22] * theirs[22] + ours[23] * theirs[23] + ours[24] * theirs[24]
+ ours[25] * theirs[25] + ours[26] * theirs[26] + ours[27] * theirs[27] + ours[28] * theirs[28]
+ ours[29] * theirs[29] + ours[30] * theirs[30] + ours[31] * theirs[31] + ours[32] * theirs[32]
+ CASE
    WHEN cardinality(ours) = 32 THEN 0
    ELSE
        ours[33] * theirs[33] + ours[34] * theirs[34] + ours[35] * theirs[35] + ours[36] * theirs[36]
        + ours[37] * theirs[37] + ours[38] * theirs[38] + ours[39] * theirs[39] + ours[40] * theirs[40]
        + ours[41] * theirs[41] + ours[42] * theirs[42] + ours[43] * theirs[43] + ours[44] * theirs[44]
        + ours[45] * theirs[45] + ours[46] * theirs[46] + ours[47] * theirs[47] + ours[48] * theirs[48]
        + ours[49] * theirs[49] + ours[50] * theirs[50] + ours[51] * theirs[51] + ours[52] * theirs[52]
        + ours[53] * theirs[53] + ours[54] * theirs[54] + ours[55] * theirs[55] + ours[56] * theirs[56]
        + ours[57] * theirs[57] + ours[58] * theirs[58] + ours[59] * theirs[59] + ours[60] * theirs[60]
        + ours[61] * theirs[61] + ours[62] * theirs[62] + ours[63] * theirs[63] + ours[64] * theirs[64]
        + ours[65] * theirs[65] + ours[66] * theirs[66] + ours[67] * theirs[67] + ours[68] * theirs[68]
        + ours[69] * theirs[69] + ours[70] * theirs[70] + ours[71] * theirs[71] + ours[72] * theirs[72]
        + ours[73] * theirs[73] + ours[74] * theirs[74] + ours[75] * theirs[75] + ours[76] * theirs[76]
        + ours[77] * theirs[77] + ours[78] * theirs[78] + ours[79] * theirs[79] + ours[80] * theirs[80]
        + ours[81] * theirs[81] + ours[82] * theirs[82] + ours[83] * theirs[83] + ours[84] * theirs[84]
        + ours[85] * theirs[85] + ours[86] * theirs[86] + ours[87] * theirs[87] + ours[88] * theirs[88]
        + ours[89] * theirs[89] + ours[90] * theirs[90] + ours[91] * theirs[91] + ours[92] * theirs[92]
        + ours[93] * theirs[93] + ours[94] * theirs[94] + ours[95] * theirs[95] + ours[96] * theirs[96]
END;
COMMENT ON FUNCTION forecast.dot(double precision[], double precision[]) IS 'Sum of the products of 32 or 96 numbers with as many others.';
