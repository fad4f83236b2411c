-- settings: what the login that runs the pipeline, and some functions, need where core is distributed.
-- Grain: one setting per line.
-- Reads: nothing
-- Write: defaults of the role that applies this file, the session's own, and functions of sql/definitions.

DO $$
DECLARE
    sending regprocedure;
BEGIN
    -- The undo log and the guard: sql/distributed/functions says what they do on a worker.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET citus.enable_unsafe_triggers = ''on''', session_user, current_database());
    PERFORM set_config('citus.enable_unsafe_triggers', 'on', false);
    -- A SET LOCAL in these holds on the workers too. Nowhere else: of a file that is sent as one Citus would send all.
    ALTER FUNCTION audit.enter_run(text, boolean, integer, text, text) SET citus.propagate_set_commands = 'local';
    ALTER FUNCTION audit.undo_run(integer, text, text) SET citus.propagate_set_commands = 'local';
    ALTER FUNCTION core.forget_customer(bigint, boolean) SET citus.propagate_set_commands = 'local';
    -- What sends lines to the workers does so in one connection to each: to open more, and to commit in all of them,
    -- costs a small delivery more than its rows do.
    FOR sending IN
        SELECT pg_proc.oid::regprocedure
        FROM pg_catalog.pg_proc
        WHERE pg_proc.pronamespace = 'core'::regnamespace AND pg_proc.prosrc LIKE '%INTO core.delivered\_%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET citus.multi_shard_modify_mode = ''sequential''', sending);
    END LOOP;
END $$;
