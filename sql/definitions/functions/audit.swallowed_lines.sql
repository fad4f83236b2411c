-- audit.swallowed_lines: the lines of a delivery in which a column that nobody declared has swallowed others.
CREATE OR REPLACE FUNCTION audit.swallowed_lines(source text) RETURNS TABLE (line_no bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
ROWS 10
SET search_path = ''
AS $$
DECLARE
    -- What a declared column has swallowed its own rule in staging finds.
    one_has_swallowed constant text := (
        SELECT string_agg(format('audit.swallowed_a_line(received.%I, $1)', columns.attname), ' OR ')
        FROM pg_catalog.pg_attribute AS columns
        INNER JOIN audit.sources ON sources.source = swallowed_lines.source
        WHERE
            columns.attrelid = to_regclass(format('raw.%I', swallowed_lines.source))
            AND columns.attnum > 0
            AND NOT columns.attisdropped
            AND columns.attname <> 'line_no'
            AND columns.attname <> ALL (sources.columns)
    );
BEGIN
    IF one_has_swallowed IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT received.line_no FROM raw.%I AS received WHERE %s', swallowed_lines.source, one_has_swallowed
        ) USING swallowed_lines.source;
    END IF;
END $$;
COMMENT ON FUNCTION audit.swallowed_lines(text) IS 'The lines of a delivery in which a column that nobody declared has swallowed others; none where every column is declared.';
