-- audit.has_field: whether a line that is no record has, between two delimiters, just this text.
CREATE OR REPLACE FUNCTION audit.has_field(line text, field text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN field = any(regexp_split_to_array(line, '[,;|\t"]'));
COMMENT ON FUNCTION audit.has_field(text, text) IS 'Whether a line that is no record has, between two delimiters, just this text.';
