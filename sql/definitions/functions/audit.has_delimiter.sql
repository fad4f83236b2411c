-- audit.has_delimiter: whether a text has the character that stands between two fields of a source's files.
CREATE OR REPLACE FUNCTION audit.has_delimiter(value text, source text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT strpos(has_delimiter.value, sources.delimiter) > 0
    FROM audit.sources
    WHERE sources.source = has_delimiter.source
$$;
COMMENT ON FUNCTION audit.has_delimiter(text, text) IS 'Whether a text has the character that stands between two fields of a source''s files.';
