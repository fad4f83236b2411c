-- audit.undone_tasks: what a run has not done of the layers before a task, checks included; NULL if nothing is missing.
CREATE OR REPLACE FUNCTION audit.undone_tasks(run_no integer, task text) RETURNS text
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    WITH needed AS (
        SELECT unnest(runs.tasks) AS task
        FROM audit.runs
        WHERE runs.run_no = undone_tasks.run_no
        UNION
        SELECT unnest(ARRAY['raw.' || sources.source, 'staging.' || sources.entity]) AS task
        FROM audit.sources
        UNION
        SELECT 'intermediate.' || tables.relname AS task
        FROM pg_catalog.pg_class AS tables
        WHERE tables.relnamespace = to_regnamespace('intermediate') AND tables.relkind = 'r'
    ),

    missing AS (
        SELECT
            needed.task,
            row_number() OVER (ORDER BY audit.layer_no(needed.task), needed.task) AS place
        FROM needed
        WHERE
            (
                audit.layer_no(needed.task) < audit.layer_no(undone_tasks.task)
                OR needed.task = ANY (audit.filled_before(undone_tasks.run_no, undone_tasks.task))
            )
            AND NOT EXISTS (
                SELECT FROM audit.steps WHERE steps.run_no = undone_tasks.run_no AND steps.task = needed.task
            )
    )

    SELECT
        string_agg(missing.task, ', ' ORDER BY missing.place) FILTER (WHERE missing.place <= 3)
        || CASE WHEN count(*) > 3 THEN format(' and %s more', count(*) - 3) ELSE '' END
    FROM missing
$$;
COMMENT ON FUNCTION audit.undone_tasks(integer, text) IS 'What a run has not done of the layers before that of a task, checks included: the first three; NULL if nothing is missing.';
