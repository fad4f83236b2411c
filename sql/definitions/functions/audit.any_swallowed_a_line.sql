-- audit.any_swallowed_a_line: whether one of several fields has swallowed another line.
CREATE OR REPLACE FUNCTION audit.any_swallowed_a_line(source text, VARIADIC fields text[]) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT coalesce(bool_or(audit.swallowed_a_line(field.value, any_swallowed_a_line.source)), false)
    FROM unnest(any_swallowed_a_line.fields) AS field (value)
$$;
COMMENT ON FUNCTION audit.any_swallowed_a_line(text, text[]) IS 'Whether one of several fields of a source has swallowed another line (audit.swallowed_a_line).';
