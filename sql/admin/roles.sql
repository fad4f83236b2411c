-- roles: who may do what in this database; run once, inside the warehouse database, by an administrator.
-- Grain: one role per kind of user.
-- Reads: nothing
-- Write: roles, the database's owner; a second run changes nothing.
--
-- Passwords are not set here. A DBA who edits tables by hand should do it as the owner, or the next run is
-- refused the table: GRANT ltv_pipeline TO alice; ALTER ROLE alice IN DATABASE warehouse SET role = 'ltv_pipeline';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_pipeline') THEN
        CREATE ROLE ltv_pipeline LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_analyst') THEN
        CREATE ROLE ltv_analyst NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_steward') THEN
        CREATE ROLE ltv_steward NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_monitor') THEN
        CREATE ROLE ltv_monitor NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_report') THEN
        CREATE ROLE ltv_report NOLOGIN;
        GRANT ltv_analyst TO ltv_report;
        -- To become it for a transaction; by itself the pipeline gains nothing.
        GRANT ltv_report TO ltv_pipeline WITH INHERIT FALSE;
    END IF;
    -- Whoever is no superuser, as on a managed server, gives a database only to a role for which it may act.
    IF NOT pg_has_role('ltv_pipeline', 'USAGE') THEN
        GRANT ltv_pipeline TO current_user;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO ltv_pipeline', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ltv_analyst, ltv_steward, ltv_monitor, ltv_report', current_database());
END $$;

COMMENT ON ROLE ltv_pipeline IS 'Runs the nightly pipeline: owns and writes every schema of it.';
COMMENT ON ROLE ltv_analyst IS 'Reads marts, and nothing else. GRANT it to the people who need the numbers.';
COMMENT ON ROLE ltv_steward IS 'Works the rejected lines: reads audit.rejected_rows, which holds personal data, and corrects them with audit.replay.';
COMMENT ON ROLE ltv_monitor IS 'Reads audit.warehouse_metrics, and nothing else. GRANT it, and pg_monitor, to the login of postgres-exporter.';
COMMENT ON ROLE ltv_report IS 'Reads what the charts of make report show: marts, and views of audit and forecast without personal data. Every chart runs as this role.';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
