-- audit.null_tokens: the field values by which a source says: not known.
CREATE OR REPLACE FUNCTION audit.null_tokens(source text) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    -- The longest comes first: audit.cleaned looks at its length.
    SELECT array_agg(token.text ORDER BY octet_length(token.text) DESC)
    FROM audit.sources
    CROSS JOIN LATERAL unnest(sources.null_tokens) AS token (text)
    WHERE sources.source = null_tokens.source
$$;
COMMENT ON FUNCTION audit.null_tokens(text) IS 'The field values by which a source says: not known.';
