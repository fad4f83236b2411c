-- audit.is_day: whether a text is a day, written YYYY-MM-DD.
CREATE OR REPLACE FUNCTION audit.is_day(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value LIKE '____-__-__'
AND translate(value, '0123456789', '') = '--'
AND pg_input_is_valid(value, 'date');
COMMENT ON FUNCTION audit.is_day(text) IS 'Whether a text is a day, written YYYY-MM-DD.';
