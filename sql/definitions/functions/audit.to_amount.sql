-- audit.to_amount: the amount that a field holds, or NULL where it holds none.
CREATE OR REPLACE FUNCTION audit.to_amount(value text, null_tokens text[], numerals text[]) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
-- Most fields are an amount as it would be written back: to see that costs half of audit.is_amount, which takes .5 too.
RETURN CASE
    WHEN
        pg_input_is_valid(value, 'numeric(14,2)')
        AND value NOT LIKE '%.___%'
        AND value <> 'NaN'
        AND value::numeric::text = value
        AND (value = any(numerals)) IS NOT true
        THEN value::numeric
    WHEN audit.is_amount(audit.bare(value)) AND upper(audit.bare(value)) <> all(null_tokens)
        THEN audit.bare(value)::numeric
END;
COMMENT ON FUNCTION audit.to_amount(text, text[], text[]) IS 'The amount that a field holds (audit.is_amount), outer blanks aside, or NULL where it holds none. Takes the field, and what audit.unknown_values gives.';
