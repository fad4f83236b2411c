-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.runs ADD COLUMN attempt integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN audit.runs.attempt IS 'How often it has begun: a task belongs to one begin, and works in no other.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
