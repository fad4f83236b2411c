-- migrate:up
SET lock_timeout = '30s';
SET statement_timeout = '60s';

-- Empty whenever nobody is looking: what a function of sql/distributed sends to the workers, each line to that of its
-- customer, to be held against what core has there. Not logged: nothing is lost with it.
CREATE UNLOGGED TABLE core.delivered_customers (
    customer_id bigint NOT NULL,
    first_name text,
    last_name text,
    email text,
    country text,
    gender text,
    date_of_birth date
);
COMMENT ON TABLE core.delivered_customers IS 'Lines of a delivery beside core.customers on the workers, for as long as a function looks at them. One row per line. Personal data.';
COMMENT ON COLUMN core.delivered_customers.customer_id IS 'As in staging.customers.';
COMMENT ON COLUMN core.delivered_customers.first_name IS 'As in staging.customers. Personal data.';
COMMENT ON COLUMN core.delivered_customers.last_name IS 'As in staging.customers. Personal data.';
COMMENT ON COLUMN core.delivered_customers.email IS 'As in staging.customers. Personal data.';
COMMENT ON COLUMN core.delivered_customers.country IS 'As in staging.customers.';
COMMENT ON COLUMN core.delivered_customers.gender IS 'As in staging.customers. Personal data.';
COMMENT ON COLUMN core.delivered_customers.date_of_birth IS 'As in staging.customers. Personal data.';

CREATE UNLOGGED TABLE core.delivered_orders (
    order_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    order_date date,
    product text,
    price numeric(14, 2)
);
COMMENT ON TABLE core.delivered_orders IS 'Lines of a delivery beside core.orders on the workers, for as long as a function looks at them. One row per line.';
COMMENT ON COLUMN core.delivered_orders.order_id IS 'As in staging.orders.';
COMMENT ON COLUMN core.delivered_orders.customer_id IS 'As in staging.orders.';
COMMENT ON COLUMN core.delivered_orders.order_date IS 'As in staging.orders.';
COMMENT ON COLUMN core.delivered_orders.product IS 'As in staging.orders.';
COMMENT ON COLUMN core.delivered_orders.price IS 'As in staging.orders.';

CREATE UNLOGGED TABLE core.delivered_payments (
    payment_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    order_id bigint,
    payment_date date,
    amount numeric(14, 2)
);
COMMENT ON TABLE core.delivered_payments IS 'Lines of a delivery beside core.payments on the workers, for as long as a function looks at them. One row per line.';
COMMENT ON COLUMN core.delivered_payments.payment_id IS 'As in staging.payments.';
COMMENT ON COLUMN core.delivered_payments.customer_id IS 'As in staging.payments.';
COMMENT ON COLUMN core.delivered_payments.order_id IS 'As in staging.payments.';
COMMENT ON COLUMN core.delivered_payments.payment_date IS 'As in staging.payments.';
COMMENT ON COLUMN core.delivered_payments.amount IS 'As in staging.payments.';

SELECT create_distributed_table('core.delivered_customers', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('core.delivered_orders', 'customer_id', colocate_with => 'core.customers');
SELECT create_distributed_table('core.delivered_payments', 'customer_id', colocate_with => 'core.customers');

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
