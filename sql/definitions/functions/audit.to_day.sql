-- audit.to_day: the day that a field holds, or NULL where it holds none.
CREATE OR REPLACE FUNCTION audit.to_day(value text, null_tokens text[], numerals text[]) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
-- Most fields need no cleaning: to look is cheaper than to clean.
RETURN CASE
    WHEN audit.is_day(value) AND (value = any(numerals)) IS NOT true
        THEN value::date
    WHEN audit.is_day(audit.bare(value)) AND upper(audit.bare(value)) <> all(null_tokens)
        THEN audit.bare(value)::date
END;
COMMENT ON FUNCTION audit.to_day(text, text[], text[]) IS 'The day that a field holds (audit.is_day), outer blanks aside, or NULL where it holds none. Takes the field, and what audit.unknown_values gives.';
