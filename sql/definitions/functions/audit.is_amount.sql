-- audit.is_amount: whether a text is an amount of money: digits, a decimal point, at most two decimals, a sign.
CREATE OR REPLACE FUNCTION audit.is_amount(value text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- A text that has no letters is the same in upper and lower case: that refuses NaN, Infinity, 1e3 and 0x1F.
RETURN value NOT LIKE '%.___%'
AND upper(value) = lower(value)
AND strpos(value, '_') = 0
AND pg_input_is_valid(value, 'numeric(14,2)');
COMMENT ON FUNCTION audit.is_amount(text) IS 'Whether a text is an amount of money: digits, a decimal point, at most two decimals, a sign, within numeric(14,2).';
