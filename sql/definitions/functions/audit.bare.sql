-- audit.bare: a field without outer blanks, those that a spreadsheet leaves included.
CREATE OR REPLACE FUNCTION audit.bare(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN btrim(value, E' \t\r\n\f\u000B\u00A0\uFEFF');
COMMENT ON FUNCTION audit.bare(text) IS 'A field without outer blanks, no-break space and byte order mark included.';
