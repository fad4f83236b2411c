-- login_defaults: how long the login that runs the pipeline waits, in this database, before it gives up.
-- Grain: one setting per line.
-- Reads: nothing
-- Write: defaults of the role that applies this file; a file that needs longer says so at its top with SET LOCAL.

DO $$
BEGIN
    -- Somebody else in its role: the defaults are the login's, and it has them.
    IF session_user <> current_user THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET statement_timeout = ''10min''', session_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET lock_timeout = ''30s''', session_user, current_database());
    -- A task that was killed leaves no query behind for longer than this.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET client_connection_check_interval = ''2s''', session_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = ''5min''', session_user, current_database());
    -- Disks without heads, and memory: a row by its key costs little more than the next one.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET random_page_cost = ''1.1''', session_user, current_database());
    -- Joins and groups of millions of rows; compiling them costs more than it saves.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET work_mem = ''256MB''', session_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET maintenance_work_mem = ''512MB''', session_user, current_database());
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET jit = ''off''', session_user, current_database());
    -- How a sentence writes a day.
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET DateStyle = ''ISO, YMD''', session_user, current_database());
END $$;
