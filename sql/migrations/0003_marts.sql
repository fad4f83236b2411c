-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE SCHEMA intermediate;
COMMENT ON SCHEMA intermediate IS 'The candidate of this run, before it is published: rebuilt at each run.';
CREATE SCHEMA marts;
COMMENT ON SCHEMA marts IS 'What analysts read: published in one transaction, after every check on the candidate has passed.';

CREATE TABLE marts.customer_ltv (
    customer_id bigint NOT NULL PRIMARY KEY,
    total_orders integer NOT NULL,
    total_amount numeric(18, 2) NOT NULL,
    avg_order_value numeric(18, 2),
    ltv numeric(18, 2) NOT NULL,
    first_order_date date,
    last_order_date date,
    orders_per_year numeric(14, 4) NOT NULL,
    avg_lifespan_years numeric(6, 1) NOT NULL,
    changed_as_of date NOT NULL,
    run_no integer NOT NULL,
    updated_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE marts.customer_ltv IS 'What each customer is worth: average order value × orders per year × average customer lifespan. One row per customer_id.';
COMMENT ON COLUMN marts.customer_ltv.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.customer_ltv.total_orders IS 'Paid orders: those whose payments, refunds deducted, add up to more than 0.';
COMMENT ON COLUMN marts.customer_ltv.total_amount IS 'Net payments of the paid orders, in the reporting currency.';
COMMENT ON COLUMN marts.customer_ltv.avg_order_value IS 'total_amount / total_orders; NULL without a paid order.';
COMMENT ON COLUMN marts.customer_ltv.ltv IS 'Customer lifetime value, in the reporting currency; 0 without a paid order.';
COMMENT ON COLUMN marts.customer_ltv.first_order_date IS 'Day of the first paid order.';
COMMENT ON COLUMN marts.customer_ltv.last_order_date IS 'Day of the last paid order.';
COMMENT ON COLUMN marts.customer_ltv.orders_per_year IS 'total_orders / observed years (whole months from the first paid order to the as-of date, at least 12).';
COMMENT ON COLUMN marts.customer_ltv.avg_lifespan_years IS 'Mean years from first to last paid order over customers with two or more, at least 1: one number for all customers. It is cut off by the age of the data.';
COMMENT ON COLUMN marts.customer_ltv.changed_as_of IS 'As-of date of the run that last changed the row.';
COMMENT ON COLUMN marts.customer_ltv.run_no IS 'The run that last changed the row.';
COMMENT ON COLUMN marts.customer_ltv.updated_at IS 'When the row last changed.';

CREATE TABLE marts.customer_ltv_history (
    change_no bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('INSERT', 'UPDATE', 'DELETE')),
    as_of date NOT NULL,
    run_no integer NOT NULL,
    published_at timestamp with time zone NOT NULL,
    total_orders integer,
    total_amount numeric(18, 2),
    avg_order_value numeric(18, 2),
    ltv numeric(18, 2),
    first_order_date date,
    last_order_date date,
    orders_per_year numeric(14, 4),
    avg_lifespan_years numeric(6, 1)
);
CREATE INDEX customer_ltv_history_customer_id ON marts.customer_ltv_history (customer_id, as_of);
COMMENT ON TABLE marts.customer_ltv_history IS 'Every published change of a row of customer_ltv, written with the publish, never changed. One row per publish and changed customer.';
COMMENT ON COLUMN marts.customer_ltv_history.change_no IS 'Its number: the later change has the higher one.';
COMMENT ON COLUMN marts.customer_ltv_history.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.customer_ltv_history.action IS 'INSERT, UPDATE or DELETE; the values of a DELETE are NULL.';
COMMENT ON COLUMN marts.customer_ltv_history.as_of IS 'As-of date of the run that published it.';
COMMENT ON COLUMN marts.customer_ltv_history.run_no IS 'The run that published it.';
COMMENT ON COLUMN marts.customer_ltv_history.published_at IS 'When it was published.';
COMMENT ON COLUMN marts.customer_ltv_history.total_orders IS 'total_orders as published.';
COMMENT ON COLUMN marts.customer_ltv_history.total_amount IS 'total_amount as published.';
COMMENT ON COLUMN marts.customer_ltv_history.avg_order_value IS 'avg_order_value as published.';
COMMENT ON COLUMN marts.customer_ltv_history.ltv IS 'ltv as published.';
COMMENT ON COLUMN marts.customer_ltv_history.first_order_date IS 'first_order_date as published.';
COMMENT ON COLUMN marts.customer_ltv_history.last_order_date IS 'last_order_date as published.';
COMMENT ON COLUMN marts.customer_ltv_history.orders_per_year IS 'orders_per_year as published.';
COMMENT ON COLUMN marts.customer_ltv_history.avg_lifespan_years IS 'avg_lifespan_years as published.';

CREATE TABLE marts.freshness (
    only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    as_of date NOT NULL,
    published_at timestamp with time zone NOT NULL,
    run_no integer NOT NULL
);
COMMENT ON TABLE marts.freshness IS 'How old the numbers are. One row.';
COMMENT ON COLUMN marts.freshness.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN marts.freshness.as_of IS 'The last day that the published numbers know of.';
COMMENT ON COLUMN marts.freshness.published_at IS 'When they were published; a run that changes nothing leaves it.';
COMMENT ON COLUMN marts.freshness.run_no IS 'The run that published them.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
