-- audit.late: what must be told when the day before a given time has not been published.
CREATE OR REPLACE FUNCTION audit.late(due timestamp with time zone) RETURNS TABLE (subject text, body text)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT
        format('customer_ltv: late, %s is not published', night.as_of) AS subject,
        audit.alert_body(
            what => format(
                '%s is not published by %s (Africa/Kigali): %s',
                night.as_of, to_char(late.due AT TIME ZONE 'Africa/Kigali', 'YYYY-MM-DD HH24:MI'), audit.readers_see()
            ),
            place => format(
                'DAG run %s, task %s, as of %s',
                coalesce(last_run.dag_run_id, 'none'), coalesce(last_run.task, 'none'), night.as_of
            ),
            why => CASE
                WHEN last_run.state IS NULL
                    THEN 'no run has begun for it: is the DAG customer_ltv paused or broken, or has begin refused it?'
                WHEN last_run.state = 'open'
                    THEN format('run %s is at work since %s', last_run.run_no, last_run.started)
                ELSE format('run %s is %s: %s', last_run.run_no, last_run.state, last_run.reason)
            END
        ) AS body
    FROM (SELECT (late.due AT TIME ZONE 'Africa/Kigali')::date - 1 AS as_of) AS night
    LEFT JOIN LATERAL (
        SELECT
            runs.run_no,
            runs.dag_run_id,
            runs.state,
            to_char(runs.started_at AT TIME ZONE 'Africa/Kigali', 'YYYY-MM-DD HH24:MI') AS started,
            audit.without_example(runs.reason) AS reason,
            CASE
                WHEN runs.state = 'failed' THEN regexp_replace(split_part(runs.reason, ':', 1), ' failed$', '')
                -- The first that it has not done: what it is at, or waits for.
                ELSE (
                    SELECT listed.task
                    FROM unnest(runs.tasks) WITH ORDINALITY AS listed (task, task_no)
                    WHERE
                        NOT EXISTS (
                            SELECT FROM audit.steps
                            WHERE steps.run_no = runs.run_no AND steps.task = listed.task
                        )
                    ORDER BY listed.task_no
                    LIMIT 1
                )
            END AS task
        FROM audit.runs
        WHERE runs.as_of >= night.as_of AND runs.dag_run_id NOT LIKE 'undo of run %'
        ORDER BY runs.run_no DESC
        LIMIT 1
    ) AS last_run ON true
    WHERE NOT EXISTS (SELECT FROM audit.runs WHERE runs.as_of >= night.as_of AND runs.state = 'published')
$$;
COMMENT ON FUNCTION audit.late(timestamp with time zone) IS 'What must be told when the day before a given time, in Kigali, has not been published. One row; none when it has.';
