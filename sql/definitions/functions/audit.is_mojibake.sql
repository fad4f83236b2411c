-- audit.is_mojibake: whether a text was UTF-8 and has been read as something else on its way here.
CREATE OR REPLACE FUNCTION audit.is_mojibake(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Plain ASCII, which most is, need not be looked at twice.
RETURN octet_length(value) <> length(value)
AND value ~ E'[\u00C2\u00C3][\u0080-\u00BF\u0152-\u017E\u2013-\u2122]|\u00E2\u20AC|\uFFFD';
COMMENT ON FUNCTION audit.is_mojibake(text) IS 'Whether a text was UTF-8 and has been read as something else on its way here: accents that come as two letters.';
