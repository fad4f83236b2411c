-- audit.unknown_values: the field values by which a source says: not known; and those of them that have a digit.
CREATE OR REPLACE FUNCTION audit.unknown_values(source text) RETURNS TABLE (tokens text[], numerals text[])
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 1
SET search_path = ''
AS $$
    -- The longest comes first: audit.cleaned looks at its length.
    SELECT
        array_agg(upper(token.text) ORDER BY octet_length(token.text) DESC) AS tokens,
        -- NULL, as a rule: audit.to_id, to_day and to_amount have then nothing to compare with.
        array_agg(token.text) FILTER (WHERE token.text ~ '[0-9]') AS numerals
    FROM audit.sources
    CROSS JOIN LATERAL unnest(sources.null_tokens) AS token (text)
    WHERE sources.source = unknown_values.source
$$;
COMMENT ON FUNCTION audit.unknown_values(text) IS 'The field values by which a source says: not known; and those of them that have a digit, so that they could be taken for an id, a day or an amount. One row.';
