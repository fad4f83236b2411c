-- What docker compose's empty server is filled with, by psql: a database and its owner for Airflow, one for the warehouse.
-- The warehouse's roles come with sql/admin/roles.sql.
\getenv password AIRFLOW_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'password';
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
CREATE DATABASE warehouse;
