-- audit.loads_whole: whether the table that is being filled was empty.
CREATE OR REPLACE FUNCTION audit.loads_whole() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('ltv.loads_whole', true), ''), 'false')::boolean;
COMMENT ON FUNCTION audit.loads_whole() IS 'Whether the table that is being filled was empty when audit.open_whole_load looked.';
