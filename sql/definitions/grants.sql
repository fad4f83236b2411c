-- grants: what others than the owner may read here.
-- Grain: one grant per schema and role.
-- Reads: nothing
-- Write: privileges; a role that does not exist is passed over (sql/admin/roles.sql makes them).

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit, core FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_analyst') THEN
        GRANT USAGE ON SCHEMA marts TO ltv_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA marts TO ltv_analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA marts GRANT SELECT ON TABLES TO ltv_analyst;
    ELSE
        RAISE NOTICE 'There is no role ltv_analyst: nobody but the owner reads marts. See sql/admin/roles.sql.';
    END IF;
END $$;
