-- audit.rows_in_core: how many rows of a source core has.
CREATE OR REPLACE FUNCTION audit.rows_in_core(entity text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
DECLARE
    rows_now bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM core.%I', rows_in_core.entity) INTO rows_now;
    RETURN rows_now;
END $$;
COMMENT ON FUNCTION audit.rows_in_core(text) IS 'How many rows of a source, given by its entity, core has.';
