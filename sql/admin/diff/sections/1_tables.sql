-- Tables: what was run twice, row by row; a row is known by its key, and when it was written is no difference.
SELECT
    tables.table_name AS table_or_view,
    tables.base_rows,
    tables.edited_rows,
    tables.only_in_base,
    tables.only_in_edited,
    tables.changed,
    tables.by_column
FROM diff.tables
ORDER BY
    array_position(
        ARRAY['raw', 'staging', 'core', 'intermediate', 'forecast', 'marts'], split_part(tables.table_name, '.', 1)
    ) ASC,
    tables.table_name ASC;
