-- audit.drops_absent_rows: whether core loses what a source's delivery does not hold.
CREATE OR REPLACE FUNCTION audit.drops_absent_rows(source text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT
        sources.kind = 'snapshot'
        -- A snapshot that was not loaded again, being the last one's equal, holds what core holds.
        AND NOT EXISTS (
            SELECT FROM audit.loads
            WHERE
                loads.run_no = (SELECT audit.run_no())
                AND loads.source = sources.source
                AND loads.same_as_run_no IS NOT NULL
        )
    FROM audit.sources
    WHERE sources.source = drops_absent_rows.source
$$;
COMMENT ON FUNCTION audit.drops_absent_rows(text) IS 'Whether core loses what a source''s delivery does not hold: it is a snapshot, and has been loaded in this run.';
