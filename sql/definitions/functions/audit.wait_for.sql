-- audit.wait_for: until when this run waits for a source's file that is missing, and when to look again.
-- Only a run of the schedule waits: its id says so, as Airflow keeps others from taking such a name. One that somebody
-- starts (`make run` too) has its files beside it, and for a backfill's night the hour has long passed.
CREATE OR REPLACE FUNCTION audit.wait_for(source text) RETURNS TABLE (
    until text, next_look timestamp with time zone
)
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    SELECT
        to_char(waiting.until AT TIME ZONE 'Africa/Kigali', 'YYYY-MM-DD HH24:MI') || ' (Africa/Kigali)' AS until,
        -- NULL when the hour has come.
        CASE
            WHEN clock_timestamp() < waiting.until
                THEN least(clock_timestamp() + INTERVAL '1 minute', waiting.until)
        END AS next_look
    FROM (
        SELECT (runs.as_of + INTERVAL '1 day' + sources.wait_until) AT TIME ZONE 'Africa/Kigali' AS until
        FROM audit.runs
        CROSS JOIN audit.sources
        WHERE
            runs.run_no = audit.run_no()
            AND runs.dag_run_id LIKE 'scheduled\_\_%'
            AND sources.source = wait_for.source
    ) AS waiting
$$;
COMMENT ON FUNCTION audit.wait_for(text) IS 'Until when this run waits for a source''s file that is missing, and when to look again (NULL: no more). One row; none for a run that the schedule has not made.';
