-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.runs ADD COLUMN dag_run_started_at timestamp with time zone;
COMMENT ON COLUMN audit.runs.dag_run_started_at IS 'When Airflow started the DAG run that it was begun by last; once cleared it is started anew. NULL where it was begun without Airflow, and before that was noted.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
