-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What the fit looked at before forecast.cohorts was. Nobody else reads them.
-- squawk-ignore-file ban-drop-table
DROP TABLE IF EXISTS forecast.frequencies;
DROP TABLE IF EXISTS forecast.ages;
DROP TABLE IF EXISTS forecast.purchase_patterns;
DROP TABLE IF EXISTS forecast.value_patterns;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
