-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.rejected_rows ADD COLUMN header text[];
COMMENT ON COLUMN audit.rejected_rows.header IS 'The columns of its file, in their order, of a line that is no record: what its fields would have been. NULL otherwise, and before that was noted.';

ALTER TABLE audit.steps ADD COLUMN filenode oid;
COMMENT ON COLUMN audit.steps.filenode IS 'The file on disk of a table that the task has rebuilt: one that somebody makes anew has another. NULL for other tasks.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
