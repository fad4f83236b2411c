-- audit.fields_of: the fields of a line, as its file's delimiter and whole quotes part them.
CREATE OR REPLACE FUNCTION audit.fields_of(line text, delimiter text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(coalesce(field.found[1], field.found[2]))
    FROM regexp_replace(fields_of.delimiter, '([^[:alnum:]])', '\\\1') AS escaped (delimiter)
    CROSS JOIN LATERAL regexp_matches(
        -- A delimiter before each field, the first one too: an empty match could not be told from none.
        fields_of.delimiter || fields_of.line,
        format('%1$s(?:"((?:[^"]|"")*)"(?=%1$s|$)|([^%1$s]*))', escaped.delimiter),
        'g'
    ) AS field (found)
$$;
COMMENT ON FUNCTION audit.fields_of(text, text) IS 'The fields of a line, as its file''s delimiter parts them: a delimiter in a field that is quoted as a whole parts nothing.';
