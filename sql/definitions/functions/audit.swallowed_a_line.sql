-- audit.swallowed_a_line: whether a field holds a line break and, behind it, a delimiter: what a stray quote makes.
CREATE OR REPLACE FUNCTION audit.swallowed_a_line(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- COPY takes a quote anywhere in a field for the start of quoted text, which then runs on to the next quote.
RETURN value LIKE E'%\n%' AND value ~ E'\n.*[,;|\t]';
COMMENT ON FUNCTION audit.swallowed_a_line(text) IS 'Whether a field holds a line break and, behind it, a delimiter: what a stray quote makes of two lines.';
