-- audit.is_day: whether a text is a day, written YYYY-MM-DD.
CREATE OR REPLACE FUNCTION audit.is_day(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- Written back it must be the same text: that refuses 2023-01-1Z, which PostgreSQL takes. JSON knows one way to write
-- a day, whatever the session's DateStyle, and costs less than to_char.
RETURN CASE
    WHEN value LIKE '____-__-__' AND pg_input_is_valid(value, 'date')
        THEN to_json(value::date)::text = '"' || value || '"'
    ELSE false
END;
COMMENT ON FUNCTION audit.is_day(text) IS 'Whether a text is a day, written YYYY-MM-DD.';
