-- audit.close_whole_load: bring back the indexes that audit.open_whole_load has taken away; look at what is there now.
CREATE OR REPLACE FUNCTION audit.close_whole_load() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF audit.loads_whole() THEN
        EXECUTE current_setting('ltv.indexes_taken_away');
    END IF;
END $$;
COMMENT ON FUNCTION audit.close_whole_load() IS 'Bring back the indexes that audit.open_whole_load has taken away, and ANALYZE the table.';
