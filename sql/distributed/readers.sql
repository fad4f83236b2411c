-- readers: who reads a view of core without a right to core itself, where core is distributed.
-- Grain: one function per view.
-- Reads: the views that it names, and what they read
-- Write: a function for each, with its owner's rights, and the view on top of it, with the columns that it has.

-- Citus asks the workers by the reader's own login, which has to be one there and has no right to core; and of what it
-- asks apart it forgets that a view's owner may. What a function asks with its owner's rights it asks as the owner.
DO $$
DECLARE
    shown record;
BEGIN
    -- For the coordinator alone: of its own tables sql/definitions could make no view anew that workers have too.
    PERFORM set_config('citus.enable_ddl_propagation', 'off', true);
    FOR shown IN
        SELECT
            readable.name AS view_name,
            format('%I.%I', split_part(readable.name, '.', 1), 'read_' || split_part(readable.name, '.', 2)) AS read_by,
            readable.reader,
            pg_get_viewdef(readable.name::regclass) AS query,
            string_agg(
                format('%I %s', columns.attname, format_type(columns.atttypid, NULL)), ', ' ORDER BY columns.attnum
            ) AS declared,
            string_agg(
                format('found.%1$I::%2$s AS %1$I', columns.attname, format_type(columns.atttypid, columns.atttypmod)),
                ', ' ORDER BY columns.attnum
            ) AS listed
        FROM (
            VALUES
            ('marts.cohort_retention', 'ltv_analyst'),
            ('marts.customers_at_risk', 'ltv_analyst'),
            ('marts.ltv_by_country', 'ltv_analyst'),
            ('marts.ltv_by_first_product', 'ltv_analyst'),
            ('marts.ltv_movers', 'ltv_analyst'),
            ('forecast.calibration', 'ltv_report')
        ) AS readable (name, reader)
        INNER JOIN pg_catalog.pg_attribute AS columns
            ON readable.name::regclass = columns.attrelid AND columns.attnum > 0
        GROUP BY readable.name, readable.reader
    LOOP
        -- As sql/definitions has just made the view it is not on top of it.
        EXECUTE format('DROP FUNCTION IF EXISTS %s()', shown.read_by);
        EXECUTE format(
            $sql$
            CREATE FUNCTION %s() RETURNS TABLE (%s)
            LANGUAGE plpgsql STABLE SECURITY DEFINER
            -- As marts.why: a type of the caller's own must not come first.
            SET search_path = pg_catalog, pg_temp
            AS %L
            $sql$,
            shown.read_by, shown.declared, E'#variable_conflict use_column\nBEGIN RETURN QUERY\n' || shown.query || E'\nEND'
        );
        EXECUTE format('REVOKE ALL ON FUNCTION %s() FROM PUBLIC', shown.read_by);
        IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE pg_roles.rolname = shown.reader) THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s() TO %I', shown.read_by, shown.reader);
        END IF;
        EXECUTE format(
            'CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s() AS found', shown.view_name, shown.listed, shown.read_by
        );
    END LOOP;
    PERFORM set_config('citus.enable_ddl_propagation', 'on', true);
END $$;
