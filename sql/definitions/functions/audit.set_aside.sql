-- audit.set_aside: keep a source's rejected lines, or those that wait, in audit.rejected_rows: each once.
CREATE OR REPLACE FUNCTION audit.set_aside(source text, waiting boolean) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    first_lines constant bigint [] := (
        SELECT array_agg(loads.first_line_no ORDER BY loads.first_line_no)
        FROM audit.loads
        WHERE loads.run_no = audit.run_no() AND loads.source = set_aside.source
    );
BEGIN
    EXECUTE format(
        $sql$
        INSERT INTO audit.rejected_rows AS known (
            source, file, line_no, fields, reason, corrects_row_id, first_run_no, last_run_no, last_seen_at
        )
        SELECT DISTINCT ON (md5(lines.fields::text), lines.reason)
            $1, lines.file, lines.line_no, lines.fields, lines.reason, lines.corrects_row_id, $2, $2, now()
        FROM (
            SELECT
                staged.reason,
                staged.line_no AS position,
                waited.corrects_row_id,
                coalesce(loads.file, waited.file) AS file,
                coalesce(staged.line_no - loads.first_line_no + 2, waited.line_no) AS line_no,
                CASE
                    WHEN received.line_no IS NULL THEN waited.fields
                    -- A column that nobody declared goes no further, unless it holds other lines; and nothing of a
                    -- customer who was erased does, but the lines of others.
                    WHEN staged.reason LIKE '%% swallowed\_a\_line:%%' THEN (
                        SELECT
                            audit.without_swallowed(
                                jsonb_object_agg(field.key, field.value),
                                (SELECT sources.delimiter FROM audit.sources WHERE sources.source = $1),
                                ARRAY(SELECT forgotten_customers.customer_id FROM core.forgotten_customers),
                                'withheld: it may hold a line of a customer who was erased'
                            )
                        FROM jsonb_each(to_jsonb(received.*)) AS field
                        WHERE
                            audit.swallowed_a_line(field.value #>> '{}', $1)
                            OR (
                                field.key = ANY ($5)
                                AND (
                                    audit.number_of(received.customer_id) IN (
                                        SELECT forgotten_customers.customer_id FROM core.forgotten_customers
                                    )
                                ) IS NOT TRUE
                            )
                    )
                    ELSE (SELECT to_jsonb(kept) FROM (SELECT %3$s) AS kept)
                END AS fields
            FROM staging.%1$I AS staged
            LEFT JOIN raw.%2$I AS received ON staged.line_no = received.line_no
            LEFT JOIN audit.rejected_rows AS waited ON staged.line_no = -waited.rejected_row_id
            LEFT JOIN audit.loads
                ON
                    loads.run_no = $2
                    AND loads.source = $1
                    AND loads.first_line_no = $4[width_bucket(staged.line_no, $4)]
            WHERE
                staged.reason NOT LIKE '%% superseded:%%'
                -- Nothing is kept of a customer who was erased.
                AND staged.reason NOT LIKE '%% forgotten:%%'
                AND (staged.reason LIKE '%% waits:%%') = $3
        ) AS lines
        ORDER BY md5(lines.fields::text), lines.reason, lines.position DESC
        ON CONFLICT (source, row_hash) WHERE released_run_no IS NULL AND superseded_run_no IS NULL DO UPDATE
        SET
            file = excluded.file, line_no = excluded.line_no,
            corrects_row_id = coalesce(excluded.corrects_row_id, known.corrects_row_id),
            last_run_no = excluded.last_run_no, last_seen_at = now()
        WHERE known.last_seen_at <> now()
        $sql$, (SELECT sources.entity FROM audit.sources WHERE sources.source = set_aside.source), source, (
            SELECT string_agg(format('received.%I', declared.name), ', ')
            FROM audit.sources
            CROSS JOIN LATERAL unnest(sources.columns) AS declared (name)
            WHERE sources.source = set_aside.source
        )
    ) USING set_aside.source, audit.run_no(), set_aside.waiting, first_lines, (
        SELECT sources.columns FROM audit.sources WHERE sources.source = set_aside.source
    );
END $$;
COMMENT ON FUNCTION audit.set_aside(text, boolean) IS 'Keep a source''s rejected lines, or those that wait, in audit.rejected_rows: each once, however often it is delivered.';
