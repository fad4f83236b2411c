-- audit.is_rebuilt: whether a task makes its table anew in every run.
CREATE OR REPLACE FUNCTION audit.is_rebuilt(task text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN split_part(task, '.', 1) IN ('raw', 'staging', 'intermediate') AND strpos(task, '__') = 0;
COMMENT ON FUNCTION audit.is_rebuilt(text) IS 'Whether a task makes its table anew in every run; a check makes none.';
