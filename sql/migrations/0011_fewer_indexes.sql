-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Nothing looks up orders by their customer: activity is computed from payments, and finds an order by its number.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS core.orders_customer_id;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
