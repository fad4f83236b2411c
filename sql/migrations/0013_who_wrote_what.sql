-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.rejected_rows ADD COLUMN header text[];
COMMENT ON COLUMN audit.rejected_rows.header IS 'The columns of its file, in their order, of a line that is no record: what its fields would have been. NULL otherwise, and before that was noted.';

ALTER TABLE audit.steps ADD COLUMN filenode oid;
COMMENT ON COLUMN audit.steps.filenode IS 'The file on disk of a table that the task has rebuilt: one that somebody makes anew has another. NULL for other tasks.';

CREATE TABLE audit.hand_writes (
    hand_write_no bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_no integer REFERENCES audit.runs (run_no),
    table_name text NOT NULL,
    written_by name NOT NULL DEFAULT session_user,
    written_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit.hand_writes IS 'Statements outside of any run that wrote core or marts: what the runs say of them is not all there is. One row per statement.';
COMMENT ON COLUMN audit.hand_writes.hand_write_no IS 'Its number.';
COMMENT ON COLUMN audit.hand_writes.run_no IS 'The last run before it; NULL before the first.';
COMMENT ON COLUMN audit.hand_writes.table_name IS 'The table, with its schema.';
COMMENT ON COLUMN audit.hand_writes.written_by IS 'The login.';
COMMENT ON COLUMN audit.hand_writes.written_at IS 'When.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
