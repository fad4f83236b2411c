-- audit.arrived: the order in which lines came: those that waited (line_no below 0) first, the oldest of them first.
CREATE OR REPLACE FUNCTION audit.arrived(line_no bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN line_no < 0 THEN -4611686018427387904 - line_no ELSE line_no END;
COMMENT ON FUNCTION audit.arrived(bigint) IS 'The order in which lines came: those that waited (line_no below 0) first, the oldest of them first.';
