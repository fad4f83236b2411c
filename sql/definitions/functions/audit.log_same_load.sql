-- audit.log_same_load: note a delivery that equals an earlier one and is not loaded again.
CREATE OR REPLACE FUNCTION audit.log_same_load(source text, same_as_run_no integer) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    INSERT INTO audit.loads (
        run_no, source, file, bytes, sha256, first_line_no, records, loaded, extra_columns, seconds,
        good, superseded, rejected, waiting, forgotten, same_as_run_no, declared, kind
    )
    SELECT
        audit.run_no(), loads.source, loads.file, loads.bytes, loads.sha256, loads.first_line_no, loads.records,
        0, loads.extra_columns, 0, loads.good, loads.superseded, loads.rejected, loads.waiting, loads.forgotten,
        log_same_load.same_as_run_no, loads.declared, loads.kind
    FROM audit.loads
    WHERE loads.run_no = log_same_load.same_as_run_no AND loads.source = log_same_load.source;
$$;
COMMENT ON FUNCTION audit.log_same_load(text, integer) IS 'Note in audit.loads a delivery that equals that of an earlier run: with its counts, and no record loaded.';
