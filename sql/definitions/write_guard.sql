-- write_guard: while a run is open nobody else writes what it writes.
-- Grain: one trigger per table of core and marts.
-- Reads: nothing
-- Write: triggers. A task is in its run (audit.enter_run); a person in psql is not.

DO $$
DECLARE
    guarded regclass;
BEGIN
    FOR guarded IN
        SELECT tables.oid FROM pg_catalog.pg_class AS tables
        WHERE
            tables.relnamespace::regnamespace::text IN ('core', 'marts')
            AND tables.relkind IN ('r', 'p')
            -- To enter somebody there harms no run.
            AND tables.oid <> 'core.stale_customers'::regclass
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER a_run_is_alone BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
            || 'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_beside_a_run()', guarded
        );
    END LOOP;
END $$;
