-- audit.set_aside_broken: keep the lines of a file that are no records in audit.rejected_rows: each once.
CREATE OR REPLACE FUNCTION audit.set_aside_broken(
    source text, file text, header text[], line_nos bigint[], lines text[], reasons text[]
) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    INSERT INTO audit.rejected_rows AS known (
        source, file, header, line_no, line, reason, first_run_no, last_run_no
    )
    SELECT DISTINCT ON (broken.line, broken.reason)
        set_aside_broken.source,
        set_aside_broken.file,
        set_aside_broken.header,
        broken.line_no,
        broken.line,
        broken.reason,
        audit.run_no(),
        audit.run_no()
    FROM (
        SELECT
            received.line_no,
            received.reason,
            CASE
                WHEN EXISTS (SELECT FROM core.forgotten_customers)
                AND EXISTS (
                    SELECT
                    FROM audit.customers_named(
                        received.line, set_aside_broken.source, set_aside_broken.header
                    ) AS named
                    WHERE named.customer_id IN (SELECT forgotten_customers.customer_id FROM core.forgotten_customers)
                )
                    THEN 'withheld: it has the number of a customer who was erased'
                ELSE received.line
            END AS line
        FROM unnest(set_aside_broken.line_nos, set_aside_broken.lines, set_aside_broken.reasons)
            AS received (line_no, line, reason)
    ) AS broken
    ORDER BY broken.line, broken.reason, broken.line_no DESC
    ON CONFLICT (source, row_hash) WHERE released_run_no IS NULL AND superseded_run_no IS NULL DO UPDATE
    SET
        file = excluded.file, header = excluded.header, line_no = excluded.line_no,
        last_run_no = excluded.last_run_no, last_seen_at = now()
    WHERE known.last_seen_at <> now();
$$;
COMMENT ON FUNCTION audit.set_aside_broken(text, text, text[], bigint[], text[], text[]) IS 'Keep the lines of a file that are no records in audit.rejected_rows: each once, however often it is delivered.';
