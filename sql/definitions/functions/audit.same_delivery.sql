-- audit.same_delivery: the run whose delivery this one equals, file by file, so that it need not be loaded again.
-- Asked first with the sizes alone: the files are read for their sha256 only where that may spare their COPY. Asked for
-- all sources at once: a payment that is good tonight may not be when an order has moved.
CREATE OR REPLACE FUNCTION audit.same_delivery(
    files text[], bytes bigint[], sha256 text[] DEFAULT NULL
) RETURNS integer
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT coalesce(delivered.same_as_run_no, last_run.run_no)
    FROM audit.runs
    -- The last run, and no other: what happened since, an undo for example, is a run too.
    INNER JOIN audit.runs AS last_run
        ON last_run.run_no = (SELECT max(before.run_no) FROM audit.runs AS before WHERE before.run_no < runs.run_no)
    CROSS JOIN LATERAL (
        SELECT
            min(loads.same_as_run_no) AS same_as_run_no,
            array_agg(loads.file ORDER BY loads.file COLLATE "C") AS files,
            array_agg(loads.bytes ORDER BY loads.file COLLATE "C") AS bytes,
            array_agg(loads.sha256 ORDER BY loads.file COLLATE "C") AS sha256,
            bool_and(loads.declared = md5(sources::text)) AS is_declared_so,
            -- What was refused may be good by now: its day has come, or whoever refused it was mended.
            bool_and(loads.rejected = 0) AS is_all_good
        FROM audit.loads
        INNER JOIN audit.sources ON loads.source = sources.source
        WHERE loads.run_no = last_run.run_no
    ) AS delivered
    WHERE
        runs.run_no = audit.run_no()
        AND last_run.state = 'published'
        AND last_run.fingerprint = runs.fingerprint
        AND delivered.is_declared_so
        AND delivered.is_all_good
        AND delivered.files = same_delivery.files
        AND delivered.bytes = same_delivery.bytes
        AND delivered.sha256 = coalesce(same_delivery.sha256, delivered.sha256)
        -- Another file of this delivery was loaded while this one was late: half of a delivery is not skipped.
        AND NOT EXISTS (
            SELECT FROM audit.loads WHERE loads.run_no = runs.run_no AND loads.same_as_run_no IS NULL
        )
        -- An earlier try of this run may have brought something else into core.
        AND NOT EXISTS (SELECT FROM audit.ledger WHERE ledger.run_no = runs.run_no)
        -- What somebody has signed for once is asked again.
        AND NOT EXISTS (
            SELECT FROM audit.check_results
            WHERE check_results.run_no = last_run.run_no AND check_results.verdict = 'overridden'
        )
        AND NOT EXISTS (
            SELECT FROM core.forgotten_customers WHERE forgotten_customers.forgotten_at > last_run.started_at
        )
        -- What somebody has changed by hand the delivery puts right.
        AND NOT audit.written_by_hand_since(last_run.run_no)
        -- A person's correction, or what a snapshot's absent rows wait for, is judged beside the lines themselves.
        AND NOT EXISTS (
            SELECT
            FROM audit.rejected_rows
            INNER JOIN audit.sources ON rejected_rows.source = sources.source
            WHERE
                rejected_rows.is_waiting
                AND rejected_rows.released_run_no IS NULL
                AND rejected_rows.superseded_run_no IS NULL
                AND (sources.kind = 'snapshot' OR rejected_rows.corrects_row_id IS NOT NULL)
        )
$$;
COMMENT ON FUNCTION audit.same_delivery(text[], bigint[], text[]) IS 'The run whose delivery this one equals, given the names of all files in the order of their bytes, their sizes and, once known, their sha256: the last one, published by the same SQL, with no line refused; or NULL.';
