-- audit.record_lines: note what became of a source's lines, per file, and set the rejected ones aside.
CREATE OR REPLACE FUNCTION audit.record_lines(source text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    staged constant text := (
        SELECT format('staging.%I', sources.entity) FROM audit.sources WHERE sources.source = record_lines.source
    );
    first_lines constant bigint [] := (
        SELECT array_agg(loads.first_line_no ORDER BY loads.first_line_no)
        FROM audit.loads
        WHERE loads.run_no = audit.run_no() AND loads.source = record_lines.source
    );
BEGIN
    EXECUTE format(
        $sql$
        UPDATE audit.loads
        SET
            good = counted.good, superseded = counted.superseded,
            rejected = counted.rejected, waiting = counted.waiting
        FROM (
            SELECT
                $1[width_bucket(line_no, $1)] AS first_line_no,
                count(*) FILTER (WHERE reason IS NULL) AS good,
                count(*) FILTER (WHERE reason LIKE '%% superseded:%%') AS superseded,
                count(*) FILTER (WHERE reason LIKE '%% waits:%%') AS waiting,
                count(*) FILTER (
                    WHERE reason NOT LIKE '%% superseded:%%' AND reason NOT LIKE '%% waits:%%'
                ) AS rejected
            FROM %s
            WHERE line_no > 0
            GROUP BY 1
        ) AS counted
        WHERE loads.run_no = $2 AND loads.source = $3 AND loads.first_line_no = counted.first_line_no
        $sql$, staged
    ) USING first_lines, audit.run_no(), record_lines.source;
    PERFORM audit.set_aside(record_lines.source, false);
END $$;
COMMENT ON FUNCTION audit.record_lines(text) IS 'Note what became of a source''s lines, per file, in audit.loads, and set the rejected ones aside.';
