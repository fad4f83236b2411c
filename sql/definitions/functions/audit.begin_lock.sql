-- audit.begin_lock: the number of the advisory lock that whoever begins, undoes or erases holds alone.
CREATE OR REPLACE FUNCTION audit.begin_lock() RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended('audit.begin_run', 0);
COMMENT ON FUNCTION audit.begin_lock() IS 'The number of the advisory lock that whoever begins a run, undoes one or erases a customer holds alone; whoever writes core or marts by hand shares it.';
