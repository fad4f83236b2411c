-- audit.cleaned: a field without outer blanks; NULL where it is one of the tokens for "not known".
CREATE OR REPLACE FUNCTION audit.cleaned(value text, null_tokens text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN upper(btrim(value, E' \t\r\n\f\u000B\u00A0\uFEFF')) = any(null_tokens) THEN NULL
    ELSE btrim(value, E' \t\r\n\f\u000B\u00A0\uFEFF')
END;
COMMENT ON FUNCTION audit.cleaned(text, text[]) IS 'A field without outer blanks; NULL where it is one of the tokens for "not known".';
