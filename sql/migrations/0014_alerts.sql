-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.sources ADD COLUMN wait_until interval NOT NULL DEFAULT '05:30';
COMMENT ON COLUMN audit.sources.wait_until IS 'Until when a run of the schedule waits for the file, since the midnight (Africa/Kigali) that ends its as-of day.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
