-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a run has replaced, so that it can be undone.
CREATE TABLE audit.replaced_rows (
    run_no integer NOT NULL REFERENCES audit.runs (run_no),
    table_name text NOT NULL,
    key bigint NOT NULL,
    replaced jsonb NOT NULL,
    PRIMARY KEY (run_no, table_name, key)
);
COMMENT ON TABLE audit.replaced_rows IS 'Rows of core as they were before a run changed or removed them; kept for as long as audit.delete_expired says. One row per run, table and key.';
COMMENT ON COLUMN audit.replaced_rows.run_no IS 'The run that replaced the row.';
COMMENT ON COLUMN audit.replaced_rows.table_name IS 'The table of core.';
COMMENT ON COLUMN audit.replaced_rows.key IS 'The row''s key.';
COMMENT ON COLUMN audit.replaced_rows.replaced IS 'The row as it was. Personal data.';

-- One more value is allowed, and the table is small.
-- squawk-ignore ban-drop-constraint
ALTER TABLE audit.runs DROP CONSTRAINT runs_state_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE audit.runs ADD CONSTRAINT runs_state_check
CHECK (state IN ('open', 'published', 'failed', 'abandoned', 'undone'));
COMMENT ON COLUMN audit.runs.state IS 'open, published, failed, abandoned (a newer run began), or undone (by audit.undo_run).';
COMMENT ON COLUMN audit.runs.reason IS 'Why it failed, or was abandoned or undone.';

CREATE TABLE audit.overrides (
    override_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim text NOT NULL,
    signed_by text NOT NULL CHECK (signed_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    granted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamp with time zone NOT NULL,
    CHECK (expires_at <= granted_at + interval '7 days')
);
COMMENT ON TABLE audit.overrides IS 'Failed claims over which somebody publishes all the same, for a while; granted by audit.override. One row per grant.';
COMMENT ON COLUMN audit.overrides.override_id IS 'Its number.';
COMMENT ON COLUMN audit.overrides.claim IS 'The check: the name of its file.';
COMMENT ON COLUMN audit.overrides.signed_by IS 'Who answers for it.';
COMMENT ON COLUMN audit.overrides.reason IS 'Why the claim may be false.';
COMMENT ON COLUMN audit.overrides.granted_at IS 'Since when it holds.';
COMMENT ON COLUMN audit.overrides.expires_at IS 'Until when: a week at most. Set it to now() to withdraw it.';

-- One more value is allowed, and the table is small.
-- squawk-ignore ban-drop-constraint
ALTER TABLE audit.check_results DROP CONSTRAINT check_results_verdict_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE audit.check_results ADD CONSTRAINT check_results_verdict_check
CHECK (verdict IN ('passed', 'warned', 'failed', 'overridden'));
COMMENT ON COLUMN audit.check_results.verdict IS 'passed, warned, failed, or overridden: failed, and published all the same (audit.overrides).';

CREATE TABLE core.forgotten_customers (
    customer_id bigint NOT NULL PRIMARY KEY,
    forgotten_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE core.forgotten_customers IS 'Customers who were erased: a later delivery does not bring them back. One row per customer_id.';
COMMENT ON COLUMN core.forgotten_customers.customer_id IS 'The number, and nothing else of the person.';
COMMENT ON COLUMN core.forgotten_customers.forgotten_at IS 'When core.forget_customer erased the person.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
