-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Sums of amounts that each fit may need more room than numeric(18, 2) has: then no night published any more.
-- More digits before the point need no rewrite: the tables stay the files that they are.
-- squawk-ignore-file changing-column-type
ALTER TABLE core.customer_activity
ALTER COLUMN total_amount TYPE numeric(24, 2),
ALTER COLUMN unpaid_amount TYPE numeric(24, 2);
ALTER TABLE marts.customer_ltv
ALTER COLUMN total_amount TYPE numeric(24, 2),
ALTER COLUMN avg_order_value TYPE numeric(24, 2),
ALTER COLUMN ltv TYPE numeric(24, 2);
ALTER TABLE marts.customer_ltv_history
ALTER COLUMN total_amount TYPE numeric(24, 2),
ALTER COLUMN avg_order_value TYPE numeric(24, 2),
ALTER COLUMN ltv TYPE numeric(24, 2);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
