-- audit.record_lines: note what became of a source's lines, per file, set the rejected ones aside, describe the tables.
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
    PERFORM audit.refuse_unless_tried();
    IF first_lines IS NULL THEN
        RAISE EXCEPTION 'run_no % has loaded no %', audit.run_no(), record_lines.source
            USING HINT = 'By hand, this file needs a run that has come as far as raw: make run.';
    END IF;
    IF (
        SELECT count(DISTINCT loads.same_as_run_no IS NULL) > 1 FROM audit.loads WHERE loads.run_no = audit.run_no()
    ) THEN
        RAISE EXCEPTION 'the files of run_no % have changed while they were looked at: some are the last ones, some are not', audit.run_no()
            USING HINT = 'Clear the run from its first task (begin), or start a new one.';
    END IF;
    -- A record that COPY did not take was set aside then: it is rejected too.
    EXECUTE format(
        $sql$
        UPDATE audit.loads
        SET
            good = counted.good, superseded = counted.superseded,
            rejected = counted.rejected + loads.records - loads.loaded, waiting = counted.waiting,
            forgotten = counted.forgotten
        FROM (
            SELECT
                file.first_line_no,
                count(*) FILTER (WHERE staged.line_no IS NOT NULL AND staged.reason IS NULL) AS good,
                count(*) FILTER (WHERE staged.reason LIKE '%% superseded:%%') AS superseded,
                count(*) FILTER (WHERE staged.reason LIKE '%% waits:%%') AS waiting,
                count(*) FILTER (WHERE staged.reason LIKE '%% forgotten:%%') AS forgotten,
                count(*) FILTER (
                    WHERE
                        staged.reason NOT LIKE '%% superseded:%%'
                        AND staged.reason NOT LIKE '%% waits:%%'
                        AND staged.reason NOT LIKE '%% forgotten:%%'
                ) AS rejected
            FROM unnest($1) AS file (first_line_no)
            LEFT JOIN %s AS staged
                ON staged.line_no > 0 AND $1[width_bucket(staged.line_no, $1)] = file.first_line_no
            GROUP BY file.first_line_no
        ) AS counted
        WHERE
            loads.run_no = $2
            AND loads.source = $3
            AND loads.first_line_no = counted.first_line_no
            AND loads.same_as_run_no IS NULL
        $sql$, staged
    ) USING first_lines, audit.run_no(), record_lines.source;
    -- Nothing is kept of a customer who was erased: of such a line only the numbers by which it is judged the same again.
    IF EXISTS (
        SELECT FROM audit.loads
        WHERE loads.run_no = audit.run_no() AND loads.source = record_lines.source AND loads.forgotten > 0
    ) THEN
        EXECUTE format(
            $sql$
            WITH gone AS (
                DELETE FROM raw.%1$I AS received
                USING %2$s AS staged
                WHERE received.line_no = staged.line_no AND staged.reason LIKE '%% forgotten:%%'
                RETURNING received.*
            )

            INSERT INTO raw.%1$I (%3$s)
            OVERRIDING SYSTEM VALUE
            SELECT %3$s FROM gone
            $sql$, record_lines.source, staged, (
                SELECT string_agg(DISTINCT format('%I', kept.name), ', ')
                FROM audit.sources
                CROSS JOIN LATERAL unnest(ARRAY['line_no', 'customer_id', sources.columns[1]]) AS kept (name)
                WHERE sources.source = record_lines.source
            )
        );
        -- The statistics hold values too.
        EXECUTE format('ANALYZE raw.%I', record_lines.source);
    END IF;
    PERFORM audit.set_aside(record_lines.source, false);
    PERFORM audit.describe(record_lines.source);
END $$;
COMMENT ON FUNCTION audit.record_lines(text) IS 'Note what became of a source''s lines, per file, in audit.loads, set the rejected ones aside, and describe the tables.';
