-- migrate:up
-- Nobody is at work here: the keys are made anew.
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid, adding-serial-primary-key-field
SET lock_timeout = '30s';
SET statement_timeout = '0';

-- sql/definitions makes them again, for what they do on a worker.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT
            pg_trigger.tgname AS name,
            pg_trigger.tgrelid::regclass AS on_table
        FROM pg_catalog.pg_trigger
        INNER JOIN pg_catalog.pg_class ON pg_trigger.tgrelid = pg_class.oid
        WHERE pg_class.relnamespace = 'core'::regnamespace AND NOT pg_trigger.tgisinternal
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', made.name, made.on_table);
    END LOOP;
END $$;

-- Not enforced, and Citus knows none that are not.
ALTER TABLE core.orders DROP CONSTRAINT orders_customer_id_fkey;
ALTER TABLE core.payments DROP CONSTRAINT payments_customer_id_fkey;
ALTER TABLE core.payments DROP CONSTRAINT payments_order_id_fkey;
ALTER TABLE core.customer_activity DROP CONSTRAINT customer_activity_customer_id_fkey;
ALTER TABLE audit.replaced_rows DROP CONSTRAINT replaced_rows_run_no_fkey;

-- A key is unique on each worker alone, so it contains what the rows are distributed by.
ALTER TABLE core.orders DROP CONSTRAINT orders_pkey;
ALTER TABLE core.orders ADD PRIMARY KEY (order_id, customer_id);
ALTER TABLE core.payments DROP CONSTRAINT payments_pkey;
ALTER TABLE core.payments ADD PRIMARY KEY (payment_id, customer_id);

-- What a run replaced stands on the worker on which it was replaced.
ALTER TABLE audit.replaced_rows ADD COLUMN customer_id bigint;
COMMENT ON COLUMN audit.replaced_rows.customer_id IS 'The customer_id of the row as it was: by it these rows are distributed, like those of core.';
UPDATE audit.replaced_rows SET customer_id = (replaced_rows.replaced ->> 'customer_id')::bigint;
ALTER TABLE audit.replaced_rows DROP CONSTRAINT replaced_rows_pkey;
ALTER TABLE audit.replaced_rows ADD PRIMARY KEY (run_no, table_name, key, customer_id);

SELECT create_distributed_table('core.customers', 'customer_id');
SELECT create_distributed_table('core.orders', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('core.payments', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('core.stale_customers', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('core.customer_activity', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('audit.replaced_rows', 'customer_id', colocate_with => 'core.customers');

-- What stood on the coordinator has been copied, and is hidden there.
SELECT truncate_local_data_after_distributing_table(moved.name::regclass)
FROM (
    VALUES ('core.customers'), ('core.orders'), ('core.payments'), ('core.stale_customers'),
    ('core.customer_activity'), ('audit.replaced_rows')
) AS moved (name);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
