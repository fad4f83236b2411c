-- audit.has_field: whether a text has, between two delimiters or line ends, just this field.
CREATE OR REPLACE FUNCTION audit.has_field(line text, field text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT FROM regexp_split_to_table(lower(line), '[,;|\t\r\n"]') AS piece
    WHERE audit.cleaned(piece, '{}') = field
);
COMMENT ON FUNCTION audit.has_field(text, text) IS 'Whether a text has, between two delimiters or line ends, just this field, in lower case.';
