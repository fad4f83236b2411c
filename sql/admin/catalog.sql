-- catalog: what the database says of itself, for `make docs`: every table, view and function, and the last verdicts.
-- Grain: one row; each column is a list in JSON.
-- Reads: pg_catalog, audit.check_results, audit.runs, audit.sources, forecast.check_results
-- Write: nothing

WITH schemas AS (
    SELECT
        pg_namespace.oid,
        pg_namespace.nspname AS name
    FROM pg_catalog.pg_namespace
    WHERE pg_namespace.nspname NOT LIKE 'pg\_%' AND pg_namespace.nspname <> 'information_schema'
),

columns AS (
    SELECT
        attributes.attrelid,
        attributes.attnum,
        attributes.attname AS name,
        said.comment,
        format_type(attributes.atttypid, attributes.atttypmod) AS type,
        types.typcategory = 'S' AS is_text,
        said.comment ILIKE '%personal data%' AS is_personal
    FROM pg_catalog.pg_attribute AS attributes
    INNER JOIN pg_catalog.pg_type AS types ON attributes.atttypid = types.oid
    CROSS JOIN LATERAL col_description(attributes.attrelid, attributes.attnum) AS said (comment)
    WHERE attributes.attnum > 0 AND NOT attributes.attisdropped
),

described AS (
    SELECT
        columns.attrelid,
        json_agg(
            json_build_object(
                'name', columns.name,
                'type', columns.type,
                'comment', columns.comment,
                'is_personal', coalesce(columns.is_personal, false)
            )
            ORDER BY columns.attnum
        ) AS list
    FROM columns
    GROUP BY columns.attrelid
),

-- What may be shown of a table's rows. A column that nobody has described may hold anything, and so may a text of
-- staging, which the rules have not let through yet. Of raw and audit no row is shown: one is as received, in the
-- other stand lines as received, and what people have typed and signed.
shown AS (
    SELECT
        columns.attrelid,
        string_agg(format('%I::text', columns.name), ', ' ORDER BY columns.attnum) AS list
    FROM columns
    INNER JOIN pg_catalog.pg_class AS relations ON columns.attrelid = relations.oid
    INNER JOIN schemas ON relations.relnamespace = schemas.oid
    WHERE
        NOT columns.is_personal
        AND schemas.name NOT IN ('raw', 'audit')
        AND NOT (schemas.name = 'staging' AND columns.is_text)
    GROUP BY columns.attrelid
),

keys AS (
    SELECT
        indexes.indrelid,
        array_agg(columns.name ORDER BY array_position(indexes.indkey::smallint[], columns.attnum)) AS names,
        ' ORDER BY '
        || string_agg(
            format('kept.%I', columns.name), ', ' ORDER BY array_position(indexes.indkey::smallint[], columns.attnum)
        ) AS in_order
    FROM pg_catalog.pg_index AS indexes
    INNER JOIN columns ON indexes.indrelid = columns.attrelid AND columns.attnum = any(indexes.indkey)
    WHERE indexes.indisprimary
    GROUP BY indexes.indrelid
),

readers AS (
    SELECT
        found.oid,
        array_agg(DISTINCT roles.rolname ORDER BY roles.rolname) AS roles
    FROM pg_catalog.pg_class AS found
    CROSS JOIN LATERAL aclexplode(found.relacl) AS granted
    INNER JOIN pg_catalog.pg_roles AS roles ON granted.grantee = roles.oid
    WHERE granted.privilege_type = 'SELECT' AND granted.grantee <> found.relowner
    GROUP BY found.oid
),

relations AS (
    SELECT
        json_agg(
            json_build_object(
                'name', format('%s.%s', schemas.name, found.relname),
                'kind', CASE found.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
                'comment', obj_description(found.oid, 'pg_class'),
                'key', coalesce(keys.names, '{}'),
                'readers', coalesce(readers.roles, '{}'),
                'columns', described.list,
                -- A few rows, in the order of the key, so that they are the same ones the next time.
                'sample', 'SELECT ' || shown.list || format(' FROM %I.%I AS kept', schemas.name, found.relname)
                || coalesce(keys.in_order, '') || ' LIMIT 5'
            )
            ORDER BY schemas.name, found.relname
        ) AS list
    FROM pg_catalog.pg_class AS found
    INNER JOIN schemas ON found.relnamespace = schemas.oid
    INNER JOIN described ON found.oid = described.attrelid
    LEFT JOIN keys ON found.oid = keys.indrelid
    LEFT JOIN readers ON found.oid = readers.oid
    LEFT JOIN shown ON found.oid = shown.attrelid
    WHERE found.relkind IN ('r', 'v', 'm', 'p', 'f')
),

functions AS (
    SELECT
        json_agg(
            json_build_object(
                'name', format('%s.%s', schemas.name, found.proname),
                'arguments', pg_get_function_arguments(found.oid),
                'result', pg_get_function_result(found.oid),
                'language', languages.lanname,
                'comment', obj_description(found.oid, 'pg_proc'),
                'body', coalesce(pg_get_function_sqlbody(found.oid), found.prosrc)
            )
            ORDER BY schemas.name, found.proname, found.oid
        ) AS list
    FROM pg_catalog.pg_proc AS found
    INNER JOIN schemas ON found.pronamespace = schemas.oid
    INNER JOIN pg_catalog.pg_language AS languages ON found.prolang = languages.oid
),

-- Without what it has said: an example may be a customer's number.
all_verdicts AS (
    SELECT
        check_results.claim,
        check_results.verdict,
        check_results.bad_rows,
        check_results.checked_rows,
        check_results.checked_at,
        runs.as_of
    FROM audit.check_results
    INNER JOIN audit.runs ON check_results.run_no = runs.run_no
    UNION ALL
    SELECT
        check_results.claim,
        check_results.verdict,
        check_results.bad_rows,
        check_results.checked_rows,
        check_results.checked_at,
        check_results.as_of
    FROM forecast.check_results
),

last_verdicts AS (
    SELECT DISTINCT ON (all_verdicts.claim)
        all_verdicts.claim,
        json_build_object(
            'verdict', all_verdicts.verdict,
            'bad_rows', all_verdicts.bad_rows::text,
            'checked_rows', all_verdicts.checked_rows::text,
            'as_of', all_verdicts.as_of
        ) AS verdict
    FROM all_verdicts
    ORDER BY all_verdicts.claim ASC, all_verdicts.checked_at DESC
),

verdicts AS (
    SELECT json_object_agg(last_verdicts.claim, last_verdicts.verdict) AS list
    FROM last_verdicts
),

files AS (
    SELECT
        json_agg(
            json_build_object('source', sources.source, 'entity', sources.entity, 'columns', sources.columns)
            ORDER BY sources.source
        ) AS list
    FROM audit.sources
)

SELECT
    relations.list AS relations,
    functions.list AS functions,
    files.list AS files,
    coalesce(verdicts.list, '{}') AS verdicts
FROM relations
CROSS JOIN functions
CROSS JOIN verdicts
CROSS JOIN files;
