-- audit.is_id: whether a text is a whole number that names something: digits only, no leading zero, within bigint.
CREATE OR REPLACE FUNCTION audit.is_id(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN translate(value, '0123456789', '') = ''
AND left(value, 1) <> '0'
AND pg_input_is_valid(value, 'bigint');
COMMENT ON FUNCTION audit.is_id(text) IS 'Whether a text is a whole number that names something: digits only, no leading zero, within bigint.';
