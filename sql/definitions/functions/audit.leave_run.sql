-- audit.leave_run: note what a task wrote and how long it took, in the transaction in which it wrote.
CREATE OR REPLACE FUNCTION audit.leave_run(task text, rows_written bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    rebuilt constant regclass := CASE WHEN audit.is_rebuilt(leave_run.task) THEN to_regclass(leave_run.task) END;
BEGIN
    -- What comes after this task was done in this run on what it has now made anew.
    IF strpos(leave_run.task, '__') = 0 THEN
        DELETE FROM audit.steps
        WHERE
            steps.run_no = audit.run_no()
            AND (
                audit.layer_no(steps.task) > audit.layer_no(leave_run.task)
                OR leave_run.task = ANY (audit.filled_before(steps.run_no, steps.task))
            );
    END IF;
    INSERT INTO audit.steps (run_no, task, rows_written, seconds, filenode)
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
        extract(EPOCH FROM clock_timestamp() - transaction_timestamp()),
        pg_relation_filenode(rebuilt)
    )
    ON CONFLICT ON CONSTRAINT steps_pkey DO UPDATE
        SET
            rows_written = excluded.rows_written, seconds = excluded.seconds, ended_at = excluded.ended_at,
            filenode = excluded.filenode;
    IF rebuilt IS NOT NULL THEN
        PERFORM audit.guard(rebuilt);
    END IF;
END $$;
COMMENT ON FUNCTION audit.leave_run(text, bigint) IS 'Note what a task wrote and how long it took, in the transaction in which it wrote; what comes after it has to be done again.';
