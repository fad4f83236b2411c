-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE SCHEMA raw;
COMMENT ON SCHEMA raw IS 'The delivery as received, all text: rebuilt by COPY at each run.';
CREATE SCHEMA staging;
COMMENT ON SCHEMA staging IS 'Every line of the delivery, typed where it can be, with its verdict: rebuilt at each run.';
CREATE SCHEMA core;
COMMENT ON SCHEMA core IS 'The company''s customers, orders and payments: kept; only rows that changed are written.';

CREATE TABLE core.customers (
    customer_id bigint NOT NULL PRIMARY KEY,
    first_name text,
    last_name text,
    email text,
    country text,
    gender text,
    date_of_birth date,
    run_no integer NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE core.customers IS 'Every customer the company has, as last delivered. One row per customer_id.';
COMMENT ON COLUMN core.customers.customer_id IS 'The customer.';
COMMENT ON COLUMN core.customers.first_name IS 'First name. Personal data.';
COMMENT ON COLUMN core.customers.last_name IS 'Last name. Personal data.';
COMMENT ON COLUMN core.customers.email IS 'E-mail address, in lower case. Personal data.';
COMMENT ON COLUMN core.customers.country IS 'Country of residence.';
COMMENT ON COLUMN core.customers.gender IS 'Gender, as delivered. Personal data.';
COMMENT ON COLUMN core.customers.date_of_birth IS 'Date of birth. Personal data.';
COMMENT ON COLUMN core.customers.run_no IS 'The run that last changed the row.';
COMMENT ON COLUMN core.customers.updated_at IS 'When the row last changed.';

CREATE TABLE core.orders (
    order_id bigint NOT NULL PRIMARY KEY,
    customer_id bigint NOT NULL,
    order_date date NOT NULL,
    product text,
    price numeric(14, 2) NOT NULL,
    run_no integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    FOREIGN KEY (customer_id) REFERENCES core.customers (customer_id) NOT ENFORCED
);
CREATE INDEX orders_customer_id ON core.orders (customer_id);
COMMENT ON TABLE core.orders IS 'Every order the company has, as last delivered. One row per order_id.';
COMMENT ON COLUMN core.orders.order_id IS 'The order.';
COMMENT ON COLUMN core.orders.customer_id IS 'The customer who placed it.';
COMMENT ON COLUMN core.orders.order_date IS 'The day on which it was placed.';
COMMENT ON COLUMN core.orders.product IS 'What was ordered.';
COMMENT ON COLUMN core.orders.price IS 'Its price, in the reporting currency.';
COMMENT ON COLUMN core.orders.run_no IS 'The run that last changed the row.';
COMMENT ON COLUMN core.orders.updated_at IS 'When the row last changed.';

CREATE TABLE core.payments (
    payment_id bigint NOT NULL PRIMARY KEY,
    customer_id bigint NOT NULL,
    order_id bigint NOT NULL,
    payment_date date NOT NULL,
    amount numeric(14, 2) NOT NULL,
    run_no integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    FOREIGN KEY (customer_id) REFERENCES core.customers (customer_id) NOT ENFORCED,
    FOREIGN KEY (order_id) REFERENCES core.orders (order_id) NOT ENFORCED
);
CREATE INDEX payments_customer_id ON core.payments (customer_id);
COMMENT ON TABLE core.payments IS 'Every payment and refund the company has, as last delivered. One row per payment_id.';
COMMENT ON COLUMN core.payments.payment_id IS 'The payment.';
COMMENT ON COLUMN core.payments.customer_id IS 'The customer of its order.';
COMMENT ON COLUMN core.payments.order_id IS 'The order that it pays.';
COMMENT ON COLUMN core.payments.payment_date IS 'The day on which it was made.';
COMMENT ON COLUMN core.payments.amount IS 'What was paid, in the reporting currency; a refund is negative.';
COMMENT ON COLUMN core.payments.run_no IS 'The run that last changed the row.';
COMMENT ON COLUMN core.payments.updated_at IS 'When the row last changed.';

CREATE TABLE core.stale_customers (
    customer_id bigint NOT NULL PRIMARY KEY,
    lost_order boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE core.stale_customers IS 'Customers whose activity must be computed again: entered by whatever changes their rows, removed by core.customer_activity. Kept, so that a crash between the two forgets nobody. One row per customer_id.';
COMMENT ON COLUMN core.stale_customers.customer_id IS 'The customer.';
COMMENT ON COLUMN core.stale_customers.lost_order IS 'An order moved to another customer: its payments have to follow.';

CREATE TABLE core.customer_activity (
    customer_id bigint NOT NULL PRIMARY KEY,
    total_orders integer NOT NULL,
    total_amount numeric(18, 2) NOT NULL,
    unpaid_amount numeric(18, 2) NOT NULL,
    first_order_date date,
    last_order_date date,
    run_no integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    FOREIGN KEY (customer_id) REFERENCES core.customers (customer_id) NOT ENFORCED
);
COMMENT ON TABLE core.customer_activity IS 'What each customer bought and paid: facts that add up, whatever the day. One row per customer_id.';
COMMENT ON COLUMN core.customer_activity.customer_id IS 'The customer.';
COMMENT ON COLUMN core.customer_activity.total_orders IS 'Paid orders: those whose payments, refunds deducted, add up to more than 0.';
COMMENT ON COLUMN core.customer_activity.total_amount IS 'Net payments of the paid orders.';
COMMENT ON COLUMN core.customer_activity.unpaid_amount IS 'Net payments of the other orders: 0, or less where more was refunded than paid.';
COMMENT ON COLUMN core.customer_activity.first_order_date IS 'Day of the first paid order.';
COMMENT ON COLUMN core.customer_activity.last_order_date IS 'Day of the last paid order.';
COMMENT ON COLUMN core.customer_activity.run_no IS 'The run that last changed the row.';
COMMENT ON COLUMN core.customer_activity.updated_at IS 'When the row last changed.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
