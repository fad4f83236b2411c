-- audit.swallowed_a_line: whether a field holds a line break and a delimiter: what a stray quote makes of two lines.
CREATE OR REPLACE FUNCTION audit.swallowed_a_line(value text, source text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- COPY takes a quote anywhere in a field for the start of quoted text, which then runs on to the next quote. A line in
-- its first column has its delimiters before the break. Most fields have no break: they cost two comparisons, inlined.
RETURN (value LIKE E'%\n%' OR value LIKE E'%\r%') AND audit.has_delimiter(value, source);
COMMENT ON FUNCTION audit.swallowed_a_line(text, text) IS 'Whether a field of a source holds a line break and a delimiter: what a stray quote makes of two lines.';
