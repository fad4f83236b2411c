-- audit.is_day: whether a text is a day, written YYYY-MM-DD.
CREATE OR REPLACE FUNCTION audit.is_day(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- Written back, in the DateStyle ISO, it must be the same text: that refuses 2023-01-1Z, which PostgreSQL takes.
RETURN CASE
    WHEN value LIKE '____-__-__' AND pg_input_is_valid(value, 'date') THEN value::date::text = value
    ELSE false
END;
COMMENT ON FUNCTION audit.is_day(text) IS 'Whether a text is a day, written YYYY-MM-DD.';
