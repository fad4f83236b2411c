-- audit.guard: have a table refuse, while a run is open, what somebody writes who is not in it.
CREATE OR REPLACE FUNCTION audit.guard(guarded regclass) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER a_run_is_alone BEFORE %s UPDATE OR DELETE OR TRUNCATE ON %s '
        || 'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_beside_a_run()',
        -- To have somebody computed once more harms no run.
        CASE WHEN guard.guarded::text <> 'core.stale_customers' THEN 'INSERT OR' END,
        guard.guarded
    );
END $$;
COMMENT ON FUNCTION audit.guard(regclass) IS 'Have a table refuse, while a run is open, what somebody writes who is not in it.';
