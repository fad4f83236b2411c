-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TABLE core.changed_customers (
    change_no bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_no integer NOT NULL,
    customer_id bigint
);
COMMENT ON TABLE core.changed_customers IS 'Whom each run has computed the activity of, for what is kept outside of runs: forecast.customer_rfm computes the same customers again. Kept for 14 days. One row per run and customer, a few twice.';
COMMENT ON COLUMN core.changed_customers.change_no IS 'Its number: what is written later has the higher one.';
COMMENT ON COLUMN core.changed_customers.run_no IS 'The run.';
COMMENT ON COLUMN core.changed_customers.customer_id IS 'The customer. NULL: everybody.';

-- It was made anew by each forecast, and is now kept: the next one fills it. Nobody else reads it.
-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS forecast.customer_rfm;
CREATE TABLE forecast.customer_rfm (
    customer_id bigint NOT NULL PRIMARY KEY,
    frequency integer NOT NULL,
    first_order_date date NOT NULL,
    last_order_date date NOT NULL,
    recency double precision NOT NULL,
    repeat_amount double precision NOT NULL,
    monetary_value numeric(24, 4) NOT NULL,
    mean_amount double precision NOT NULL,
    total_orders bigint NOT NULL,
    total_amount numeric(24, 2) NOT NULL,
    sample integer NOT NULL
);
COMMENT ON TABLE forecast.customer_rfm IS 'How often, until when and for how much each customer has bought, up to the day of forecast.freshness. One row per customer_id with a paid order. forecast.buyers is the same with what moves with the day.';
COMMENT ON COLUMN forecast.customer_rfm.customer_id IS 'The customer.';
COMMENT ON COLUMN forecast.customer_rfm.frequency IS 'Days with a paid order, the first one not counted.';
COMMENT ON COLUMN forecast.customer_rfm.first_order_date IS 'The first such day.';
COMMENT ON COLUMN forecast.customer_rfm.last_order_date IS 'The last one.';
COMMENT ON COLUMN forecast.customer_rfm.recency IS 'Weeks from the one to the other.';
COMMENT ON COLUMN forecast.customer_rfm.repeat_amount IS 'What was paid on these days, refunds deducted, the first one not counted, in the reporting currency.';
COMMENT ON COLUMN forecast.customer_rfm.monetary_value IS 'Its mean; 0 if there was but one.';
COMMENT ON COLUMN forecast.customer_rfm.mean_amount IS 'monetary_value, as the models compute with it.';
COMMENT ON COLUMN forecast.customer_rfm.total_orders IS 'Paid orders.';
COMMENT ON COLUMN forecast.customer_rfm.total_amount IS 'Their payments, refunds deducted, in the reporting currency.';
COMMENT ON COLUMN forecast.customer_rfm.sample IS 'forecast.sample_of the customer.';

CREATE TABLE forecast.freshness (
    only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    as_of date NOT NULL,
    run_no integer NOT NULL,
    after_change_no bigint NOT NULL,
    change_no bigint NOT NULL,
    of_everybody boolean NOT NULL,
    file_md5 text,
    computed_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE forecast.freshness IS 'What forecast.customer_rfm knows of, and what was last computed of it. One row.';
COMMENT ON COLUMN forecast.freshness.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN forecast.freshness.as_of IS 'The last day that it knows of: the published one.';
COMMENT ON COLUMN forecast.freshness.run_no IS 'The run that has published it.';
COMMENT ON COLUMN forecast.freshness.after_change_no IS 'The last row of core.changed_customers that it knew of before.';
COMMENT ON COLUMN forecast.freshness.change_no IS 'The last one that it knows of.';
COMMENT ON COLUMN forecast.freshness.of_everybody IS 'Whether everybody was computed, or the customers of these rows.';
COMMENT ON COLUMN forecast.freshness.file_md5 IS 'Of sql/forecast/customer_rfm.sql as it was: edited, it computes everybody. NULL: not compared.';
COMMENT ON COLUMN forecast.freshness.computed_at IS 'When.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
