-- audit.null_tokens: the field values by which a source says: not known.
CREATE OR REPLACE FUNCTION audit.null_tokens(source text) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT sources.null_tokens FROM audit.sources WHERE sources.source = null_tokens.source
$$;
COMMENT ON FUNCTION audit.null_tokens(text) IS 'The field values by which a source says: not known.';
