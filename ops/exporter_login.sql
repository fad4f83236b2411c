-- The login of postgres-exporter in docker compose, by psql: made once, its password set at every start.
-- It reads audit.warehouse_metrics and statistics, and nothing of what is counted there.
\getenv password LTV_EXPORTER_PASSWORD
SELECT 'CREATE ROLE ltv_exporter LOGIN IN ROLE ltv_monitor, pg_monitor'
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ltv_exporter') \gexec
ALTER ROLE ltv_exporter PASSWORD :'password';
ALTER ROLE ltv_exporter SET statement_timeout = '10s';
