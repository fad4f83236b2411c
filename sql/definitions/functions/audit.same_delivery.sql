-- audit.same_delivery: the run whose delivery of a source this one equals, so that it need not be loaded again.
-- Asked first with the sizes alone: a file is read for its sha256 only where that may spare its COPY.
CREATE OR REPLACE FUNCTION audit.same_delivery(
    source text, files text[], bytes bigint[], sha256 text[] DEFAULT NULL
) RETURNS integer
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT delivered.run_no
    FROM audit.sources
    INNER JOIN audit.runs ON runs.run_no = audit.run_no()
    -- The last run, and no other: what happened since, an undo for example, is a run too.
    INNER JOIN audit.runs AS last_run
        ON last_run.run_no = (SELECT max(before.run_no) FROM audit.runs AS before WHERE before.run_no < runs.run_no)
    INNER JOIN LATERAL (
        SELECT
            coalesce(min(loads.same_as_run_no), last_run.run_no) AS run_no,
            array_agg(loads.file ORDER BY loads.first_line_no) AS files,
            array_agg(loads.bytes ORDER BY loads.first_line_no) AS bytes,
            array_agg(loads.sha256 ORDER BY loads.first_line_no) AS sha256,
            bool_and(loads.declared = md5(sources::text)) AS is_declared_so,
            -- What a rule has refused may be good by now: its day has come, its order has moved.
            bool_and(loads.rejected <= loads.records - loads.loaded) AS is_all_good
        FROM audit.loads
        WHERE loads.run_no = last_run.run_no AND loads.source = sources.source
    ) AS delivered
        ON delivered.is_declared_so AND delivered.is_all_good
    WHERE
        sources.source = same_delivery.source
        AND last_run.state = 'published'
        AND last_run.fingerprint = runs.fingerprint
        AND delivered.files = same_delivery.files
        AND delivered.bytes = same_delivery.bytes
        AND delivered.sha256 = coalesce(same_delivery.sha256, delivered.sha256)
        AND NOT EXISTS (
            SELECT FROM core.forgotten_customers WHERE forgotten_customers.forgotten_at > last_run.started_at
        )
        -- A person's correction, or what a snapshot's absent rows wait for, is judged beside the lines themselves.
        AND NOT EXISTS (
            SELECT FROM audit.rejected_rows
            WHERE
                rejected_rows.source = sources.source
                AND rejected_rows.is_waiting
                AND rejected_rows.released_run_no IS NULL
                AND rejected_rows.superseded_run_no IS NULL
                AND (sources.kind = 'snapshot' OR rejected_rows.corrects_row_id IS NOT NULL)
        )
$$;
COMMENT ON FUNCTION audit.same_delivery(text, text[], bigint[], text[]) IS 'The run whose delivery of a source this one equals, file by file, by name, size and, where given, sha256: the last one, published by the same SQL, with no line refused by a rule; or NULL.';
