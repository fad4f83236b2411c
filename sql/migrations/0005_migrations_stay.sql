-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.deployments ADD COLUMN migrations jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN audit.deployments.migrations IS 'sha256 of every migration as it was then, by its file''s name.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
