-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- forecast.active_models has taken its place: forecast.calibration reads it, and a view reads those before it by name.
-- Nobody but the forecast's own files has read it.
-- squawk-ignore ban-drop-view
DROP VIEW IF EXISTS forecast.standing_models;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
