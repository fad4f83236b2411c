-- audit.describe: give the columns of a source's tables in raw and staging their COMMENTs, most of them from core.
CREATE OR REPLACE FUNCTION audit.describe(source text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT
            format('COMMENT ON COLUMN %s.%I IS %L', built.attrelid::regclass, built.attname, known.comment)
        FROM audit.sources
        CROSS JOIN LATERAL (
            SELECT
                kept.attname AS name,
                col_description(kept.attrelid, kept.attnum) AS comment,
                false AS is_verdict
            FROM pg_catalog.pg_attribute AS kept
            WHERE kept.attrelid = to_regclass(format('core.%I', sources.entity)) AND kept.attnum > 0
            UNION ALL
            VALUES
            (
                'line_no',
                'Its line, the header being 1; further parts of a file are counted on (audit.loads.first_line_no). '
                || 'Below 0, in staging: a row that waited, by its number in audit.rejected_rows.',
                false
            ),
            ('reason', 'Why core does not take it: "column rule: explanation". NULL where it is good.', true),
            ('is_kept', 'Whether core holds it already, exactly so.', true)
        ) AS known
        INNER JOIN pg_catalog.pg_attribute AS built
            ON
                built.attrelid IN (
                    to_regclass(format('raw.%I', sources.source)), to_regclass(format('staging.%I', sources.entity))
                )
                AND built.attname = known.name
                -- In raw a column of that name is the file's own: nobody has declared it.
                AND (NOT known.is_verdict OR built.attrelid = to_regclass(format('staging.%I', sources.entity)))
        WHERE sources.source = describe.source AND known.comment IS NOT NULL
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
COMMENT ON FUNCTION audit.describe(text) IS 'Give the columns of a source''s tables in raw and staging their COMMENTs, mostly those of the table of core: which of them are personal data, above all.';
