-- settings: what the login that runs the pipeline, and three functions, need where core is distributed.
-- Grain: one setting per line.
-- Reads: nothing
-- Write: defaults of the role that applies this file, the session's own, and functions of sql/definitions.

DO $$
BEGIN
    -- Orders are found by their number alone, which is not what they are distributed by.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET citus.enable_repartition_joins = ''on''', session_user, current_database());
    -- The undo log and the guard: sql/distributed/functions says what they do on a worker.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET citus.enable_unsafe_triggers = ''on''', session_user, current_database());
    PERFORM set_config('citus.enable_unsafe_triggers', 'on', false);
    -- A SET LOCAL in these holds on the workers too. Nowhere else: of a file that is sent as one Citus would send all.
    ALTER FUNCTION audit.enter_run(text, boolean, integer, text, text) SET citus.propagate_set_commands = 'local';
    ALTER FUNCTION audit.undo_run(integer, text, text) SET citus.propagate_set_commands = 'local';
    ALTER FUNCTION core.forget_customer(bigint, boolean) SET citus.propagate_set_commands = 'local';
END $$;
