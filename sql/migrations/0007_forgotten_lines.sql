-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.loads ADD COLUMN forgotten bigint;
COMMENT ON COLUMN audit.loads.forgotten IS 'Lines of customers who were erased: passed over, nothing is kept of them.';

-- By the run: what an undo has to look up.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX customer_ltv_history_run_no ON marts.customer_ltv_history (run_no);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
