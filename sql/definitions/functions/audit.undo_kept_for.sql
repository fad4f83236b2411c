-- audit.undo_kept_for: how long a run can be undone.
CREATE OR REPLACE FUNCTION audit.undo_kept_for() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN interval '14 days';
COMMENT ON FUNCTION audit.undo_kept_for() IS 'How long a run can be undone.';
