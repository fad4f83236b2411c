-- audit.layer_no: which layer a task belongs to, by its place in the DAG's last line.
CREATE OR REPLACE FUNCTION audit.layer_no(task text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position(ARRAY['raw', 'staging', 'core', 'intermediate', 'marts', 'end'], split_part(task, '.', 1));
COMMENT ON FUNCTION audit.layer_no(text) IS 'Which layer a task belongs to: raw is the first, end the last; NULL for begin.';
