-- audit.copy_comments: have a view say of itself and its columns what the table says that it shows.
CREATE OR REPLACE FUNCTION audit.copy_comments(shown regclass, shown_by regclass) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    described record;
BEGIN
    EXECUTE format('COMMENT ON VIEW %s IS %L', shown_by, obj_description(shown, 'pg_class'));
    FOR described IN
        SELECT
            columns.attname,
            col_description(shown, columns.attnum) AS comment
        FROM pg_catalog.pg_attribute AS columns
        INNER JOIN pg_catalog.pg_attribute AS same ON columns.attname = same.attname AND same.attrelid = shown_by
        WHERE columns.attrelid = shown AND columns.attnum > 0 AND NOT columns.attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', shown_by, described.attname, described.comment);
    END LOOP;
END $$;
COMMENT ON FUNCTION audit.copy_comments(regclass, regclass) IS 'Copy the COMMENTs of a table and its columns to the view that shows it.';
