-- audit.guard: as in sql/definitions; a distributed table refuses on its workers whatever is written outside of runs.
CREATE OR REPLACE FUNCTION audit.guard(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    is_distributed constant boolean := EXISTS (
        SELECT FROM pg_catalog.pg_dist_partition WHERE pg_dist_partition.logicalrelid = guard.guarded
    );
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER a_run_is_alone BEFORE %s UPDATE OR DELETE %s ON %s '
        || 'FOR EACH STATEMENT EXECUTE FUNCTION audit.%I()',
        -- To have somebody computed once more harms no run.
        CASE WHEN guard.guarded::text <> 'core.stale_customers' THEN 'INSERT OR' END,
        CASE WHEN NOT is_distributed THEN 'OR TRUNCATE' END,
        guard.guarded,
        CASE WHEN is_distributed THEN 'refuse_outside_of_runs' ELSE 'refuse_beside_a_run' END
    );
    -- A trigger that a TRUNCATE fires has no shard: the coordinator's own table has it.
    IF is_distributed THEN
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER a_run_is_alone_at_truncate BEFORE TRUNCATE ON %s '
            || 'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_outside_of_runs()',
            guard.guarded
        );
    END IF;
END $$;
