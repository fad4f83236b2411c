-- audit.to_id: the number that a field holds, or NULL where it holds none.
CREATE OR REPLACE FUNCTION audit.to_id(value text, null_tokens text[], numerals text[]) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- Most fields need no cleaning: to look is cheaper than to clean.
RETURN CASE
    WHEN audit.is_id(value) AND (value = any(numerals)) IS NOT true
        THEN value::bigint
    WHEN audit.is_id(audit.bare(value)) AND upper(audit.bare(value)) <> all(null_tokens)
        THEN audit.bare(value)::bigint
END;
COMMENT ON FUNCTION audit.to_id(text, text[], text[]) IS 'The number that a field holds (audit.is_id), outer blanks aside, or NULL where it holds none. Takes the field, and what audit.unknown_values gives.';
