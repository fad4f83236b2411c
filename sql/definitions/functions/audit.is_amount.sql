-- audit.is_amount: whether a text is an amount of money: digits, a decimal point, at most two decimals, a sign.
CREATE OR REPLACE FUNCTION audit.is_amount(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN translate(value, '0123456789', '') IN ('', '.', '-', '-.', '+', '+.')
AND length(split_part(value, '.', 2)) <= 2
AND pg_input_is_valid(value, 'numeric(14,2)');
COMMENT ON FUNCTION audit.is_amount(text) IS 'Whether a text is an amount of money: digits, a decimal point, at most two decimals, a sign, within numeric(14,2).';
