-- audit.leave_run: note what a task wrote and how long it took, in the transaction in which it wrote.
CREATE OR REPLACE FUNCTION audit.leave_run(task text, rows_written bigint) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    INSERT INTO audit.steps (run_no, task, rows_written, seconds)
    VALUES (
        audit.run_no(),
        leave_run.task,
        coalesce(
            (
                SELECT ledger.rows_written FROM audit.ledger
                WHERE ledger.run_no = audit.run_no() AND ledger.table_name = leave_run.task
            ),
            leave_run.rows_written
        ),
        extract(EPOCH FROM clock_timestamp() - transaction_timestamp())
    )
    ON CONFLICT (run_no, task) DO UPDATE
        SET rows_written = excluded.rows_written, seconds = excluded.seconds, ended_at = excluded.ended_at;
$$;
COMMENT ON FUNCTION audit.leave_run(text, bigint) IS 'Note what a task wrote and how long it took, in the transaction in which it wrote.';
