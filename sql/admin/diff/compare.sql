-- compare: what two versions of the rules have made of one delivery: this database's tables, and those in "edited".
-- Grain: one row per table that was run twice, in diff.tables.
-- Reads: the tables that are named to it
-- Write: the schemas diff and edited.

CREATE SCHEMA edited;

CREATE TABLE diff.tables (
    table_name text NOT NULL PRIMARY KEY,
    base_rows bigint,
    edited_rows bigint,
    only_in_base bigint,
    only_in_edited bigint,
    changed bigint,
    by_column text
);

-- The columns of a table, with their types; when a row was written, and how long that took, is no difference.
CREATE FUNCTION diff.columns_of(relation regclass) RETURNS TABLE (name text, type text, place integer)
LANGUAGE sql STABLE
AS $$
    SELECT
        columns.attname::text AS name,
        format_type(columns.atttypid, columns.atttypmod) AS type,
        columns.attnum::integer AS place
    FROM pg_catalog.pg_attribute AS columns
    WHERE
        columns.attrelid = columns_of.relation
        AND columns.attnum > 0
        AND NOT columns.attisdropped
        AND columns.attname NOT IN ('updated_at', 'published_at', 'fitted_at', 'seconds')
$$;

-- By which columns rows are told apart: the primary key, or the fewest first columns that never repeat.
CREATE FUNCTION diff.key_of(base regclass, edited regclass, names text[]) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    key text[] := (
        SELECT array_agg(columns.attname::text ORDER BY array_position(pg_index.indkey::smallint[], columns.attnum))
        FROM pg_catalog.pg_index
        INNER JOIN pg_catalog.pg_attribute AS columns
            ON pg_index.indrelid = columns.attrelid AND columns.attnum = ANY (pg_index.indkey)
        WHERE pg_index.indrelid = key_of.base AND pg_index.indisprimary
    );
    is_unique boolean;
BEGIN
    IF key <@ names THEN
        RETURN key;
    END IF;
    FOR length IN 1 .. cardinality(names) LOOP
        key := names[:length];
        EXECUTE format(
            'SELECT NOT EXISTS (SELECT FROM %1$s GROUP BY %3$s HAVING count(*) > 1)'
            || ' AND NOT EXISTS (SELECT FROM %2$s GROUP BY %3$s HAVING count(*) > 1)',
            base, edited, (SELECT string_agg(format('%I', name), ', ') FROM unnest(key) AS name)
        ) INTO is_unique;
        EXIT WHEN is_unique;
    END LOOP;
    RETURN key;
END $$;

-- Compare a table row by row, and column by column. Ten digits of a number with a floating point: in which order it was
-- added up is no difference.
CREATE FUNCTION diff.compare(table_name text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET extra_float_digits = -5
AS $$
DECLARE
    base constant regclass := to_regclass(table_name);
    edited constant regclass := to_regclass(format('edited.%I', replace(table_name, '.', '__')));
    names constant text[] := (
        SELECT array_agg(ours.name ORDER BY ours.place)
        FROM diff.columns_of(base) AS ours
        INNER JOIN diff.columns_of(edited) AS theirs ON ours.name = theirs.name
    );
    missing constant text := (
        SELECT
            string_agg(
                format(
                    '%s only in %s', coalesce(ours.name, theirs.name),
                    CASE WHEN ours.name IS NULL THEN 'edited' ELSE 'base' END
                ), ', '
            )
        FROM diff.columns_of(base) AS ours
        FULL JOIN diff.columns_of(edited) AS theirs ON ours.name = theirs.name
        WHERE ours.name IS NULL OR theirs.name IS NULL
    );
    key_columns text;
    row_columns text;
    counts text;
BEGIN
    IF base IS NULL OR edited IS NULL THEN
        EXECUTE format(
            'INSERT INTO diff.tables (table_name, by_column, %I) SELECT $1, $2, count(*) FROM %s',
            CASE WHEN base IS NULL THEN 'edited_rows' ELSE 'base_rows' END, coalesce(base, edited)
        ) USING compare.table_name, CASE WHEN base IS NULL THEN 'only in edited' ELSE 'only in base' END;
        RETURN;
    END IF;
    SELECT string_agg(format('%I', name), ', ') INTO key_columns FROM unnest(diff.key_of(base, edited, names)) AS name;
    SELECT
        -- As text: a column may have another type than before.
        string_agg(format('%1$I::text AS %1$I', named.name), ', '),
        string_agg(
            format('jsonb_build_object(%1$L, count(*) FILTER (WHERE ours.%1$I IS DISTINCT FROM theirs.%1$I))', named.name),
            ' || '
        )
    INTO row_columns, counts
    FROM unnest(names) AS named (name);
    EXECUTE format(
        $sql$
        WITH ours AS (
            SELECT
                shown.*,
                row(%1$s)::text AS row_key,
                row_number() OVER (PARTITION BY row(%1$s)::text ORDER BY row(shown.*)::text) AS row_nth
            FROM (SELECT %2$s FROM %3$s) AS shown
        ),

        theirs AS (
            SELECT
                shown.*,
                row(%1$s)::text AS row_key,
                row_number() OVER (PARTITION BY row(%1$s)::text ORDER BY row(shown.*)::text) AS row_nth
            FROM (SELECT %2$s FROM %4$s) AS shown
        ),

        both_have AS (
            SELECT
                count(*) AS rows_in_both,
                count(*) FILTER (WHERE row(ours.*) IS DISTINCT FROM row(theirs.*)) AS changed,
                %5$s AS by_column
            FROM ours
            INNER JOIN theirs ON ours.row_key = theirs.row_key AND ours.row_nth = theirs.row_nth
        )

        INSERT INTO diff.tables (
            table_name, base_rows, edited_rows, only_in_base, only_in_edited, changed, by_column
        )
        SELECT
            $1,
            base_has.rows,
            edited_has.rows,
            base_has.rows - both_have.rows_in_both,
            edited_has.rows - both_have.rows_in_both,
            both_have.changed,
            concat_ws(', ', (
                SELECT string_agg(format('%%s %%s', one.key, one.value), ', ' ORDER BY one.value::bigint DESC, one.key)
                FROM jsonb_each_text(both_have.by_column) AS one
                WHERE one.value <> '0'
            ), $2)
        FROM both_have
        CROSS JOIN (SELECT count(*) AS rows FROM ours) AS base_has
        CROSS JOIN (SELECT count(*) AS rows FROM theirs) AS edited_has
        $sql$, key_columns, row_columns, base, edited, counts
    ) USING compare.table_name, missing;
END $$;
