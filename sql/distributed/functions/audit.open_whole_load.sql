-- audit.open_whole_load: as in sql/definitions, but a distributed table keeps its indexes: is it empty, and no more.
CREATE OR REPLACE FUNCTION audit.open_whole_load(table_name text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    filled constant regclass := open_whole_load.table_name;
    is_empty boolean;
BEGIN
    PERFORM audit.refuse_unless_tried();
    EXECUTE format('SELECT NOT EXISTS (SELECT 1 FROM %s LIMIT 1)', filled) INTO is_empty;
    PERFORM set_config('ltv.loads_whole', is_empty::text, true);
    PERFORM set_config('ltv.indexes_taken_away', format('ANALYZE %s', filled), true);
END $$;
