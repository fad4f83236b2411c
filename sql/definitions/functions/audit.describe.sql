-- audit.describe: give the columns of a source's tables in raw and staging the COMMENTs of the table of core.
CREATE OR REPLACE FUNCTION audit.describe(source text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT
            format(
                'COMMENT ON COLUMN %s.%I IS %L',
                built.attrelid::regclass, built.attname, col_description(kept.attrelid, kept.attnum)
            )
        FROM audit.sources
        INNER JOIN pg_catalog.pg_attribute AS kept
            ON kept.attrelid = to_regclass(format('core.%I', sources.entity)) AND kept.attnum > 0
        INNER JOIN pg_catalog.pg_attribute AS built
            ON
                built.attrelid IN (
                    to_regclass(format('raw.%I', sources.source)), to_regclass(format('staging.%I', sources.entity))
                )
                AND built.attname = kept.attname
        WHERE sources.source = describe.source AND col_description(kept.attrelid, kept.attnum) IS NOT NULL
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
COMMENT ON FUNCTION audit.describe(text) IS 'Give the columns of a source''s tables in raw and staging the COMMENTs of the table of core: which of them are personal data, above all.';
