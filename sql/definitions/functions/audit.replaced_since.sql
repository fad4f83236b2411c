-- audit.replaced_since: the rows of a table of core that runs after a given one have changed or removed.
CREATE OR REPLACE FUNCTION audit.replaced_since(table_name text, since_run_no integer) RETURNS TABLE (key bigint)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT replaced_rows.key
    FROM audit.replaced_rows
    WHERE
        replaced_rows.table_name = replaced_since.table_name
        AND replaced_rows.run_no > replaced_since.since_run_no
$$;
COMMENT ON FUNCTION audit.replaced_since(text, integer) IS 'The keys of the rows of a table of core that were changed or removed after a run.';
