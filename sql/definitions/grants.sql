-- grants: what others than the owner may read here.
-- Grain: one grant per schema and role.
-- Reads: nothing
-- Write: privileges; a role that does not exist is passed over (sql/admin/roles.sql makes them).

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit, core, forecast, marts FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_analyst') THEN
        GRANT USAGE ON SCHEMA marts TO ltv_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA marts TO ltv_analyst;
        GRANT EXECUTE ON FUNCTION marts.customer_ltv_as_of(date), marts.customer_forecast_as_of(date) TO ltv_analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA marts GRANT SELECT ON TABLES TO ltv_analyst;
        GRANT EXECUTE ON FUNCTION marts.why(bigint) TO ltv_analyst;
        -- A view's functions are called with the rights of whoever reads it: this one is in marts' views, and reads nothing.
        GRANT EXECUTE ON FUNCTION core.a_paid_order(numeric, numeric) TO ltv_analyst;
    ELSE
        RAISE NOTICE 'There is no role ltv_analyst: nobody but the owner reads marts. See sql/admin/roles.sql.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_steward') THEN
        GRANT USAGE ON SCHEMA audit TO ltv_steward;
        GRANT SELECT ON audit.rejected_rows, audit.rejections_today, audit.waiting_rows, audit.runs, audit.loads, audit.sources TO ltv_steward;
        GRANT INSERT, UPDATE ON audit.rejected_rows TO ltv_steward;
        GRANT EXECUTE ON FUNCTION audit.run_no(), audit.replay(bigint, jsonb, boolean) TO ltv_steward;
        GRANT EXECUTE ON FUNCTION audit.is_id(text), audit.bare(text), audit.number_of(text) TO ltv_steward;
        GRANT EXECUTE ON FUNCTION audit.refuse_while_a_run_is_open(text), audit.begin_lock() TO ltv_steward;
        GRANT EXECUTE ON FUNCTION audit.be_alone(), audit.refuse_old_snapshots() TO ltv_steward;
        -- Whether core knows a key, and since which run; nothing of what it says.
        GRANT USAGE ON SCHEMA core TO ltv_steward;
        GRANT SELECT (customer_id, run_no) ON core.customers TO ltv_steward;
        GRANT SELECT (order_id, run_no) ON core.orders TO ltv_steward;
        GRANT SELECT (payment_id, run_no) ON core.payments TO ltv_steward;
        GRANT SELECT (customer_id) ON core.forgotten_customers TO ltv_steward;
    ELSE
        RAISE NOTICE 'There is no role ltv_steward: nobody but the owner works the rejects. See sql/admin/roles.sql.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_monitor') THEN
        GRANT USAGE ON SCHEMA audit TO ltv_monitor;
        GRANT SELECT ON audit.warehouse_metrics TO ltv_monitor;
    ELSE
        RAISE NOTICE 'There is no role ltv_monitor: nobody but the owner scrapes audit.warehouse_metrics. See sql/admin/roles.sql.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_report') THEN
        -- Besides marts, which it has as an analyst: how the runs went, and how good the forecast was. No row of anybody.
        GRANT USAGE ON SCHEMA audit, forecast TO ltv_report;
        GRANT SELECT ON audit.run_quality, audit.rejects_by_rule, forecast.calibration TO ltv_report;
        -- A view's functions are called with the rights of whoever reads it.
        GRANT EXECUTE ON FUNCTION
        forecast.expected_orders(double precision, double precision, double precision, double precision, integer, double precision, double precision),
        forecast.p_alive(double precision, double precision, double precision, double precision, integer, double precision, double precision)
        TO ltv_report;
    ELSE
        RAISE NOTICE 'There is no role ltv_report: the charts of make report run as the owner. See sql/admin/roles.sql.';
    END IF;
END $$;
