-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '10min';

ALTER TABLE audit.rejected_rows ADD COLUMN closed_by text;
COMMENT ON COLUMN audit.rejected_rows.closed_by IS 'What a person closed it with: the row that corrects it, or who gave it up and why. NULL where a run closed it, or nothing yet.';

COMMENT ON COLUMN audit.loads.forgotten IS 'Lines of customers who were erased: passed over; only the numbers by which they are known stay, in raw and staging.';

-- By the run: what a check and audit.rejections_today look up.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX rejected_rows_last_run_no ON audit.rejected_rows (last_run_no, source, line_no);
-- By age: what audit.delete_expired looks up at the end of every run.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX rejected_rows_last_seen_at ON audit.rejected_rows (last_seen_at);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
