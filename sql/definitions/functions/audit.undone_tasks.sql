-- audit.undone_tasks: what a run has not done of the layers before one, checks included; NULL if nothing is missing.
CREATE OR REPLACE FUNCTION audit.undone_tasks(run_no integer, layer text) RETURNS text
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    WITH layers AS (
        SELECT ordered.name, ordered.position
        FROM unnest(ARRAY['raw', 'staging', 'core', 'intermediate', 'marts', 'end']) WITH ORDINALITY
            AS ordered (name, position)
    ),

    needed AS (
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
    )

    SELECT
        string_agg(missing.task, ', ' ORDER BY missing.place) FILTER (WHERE missing.place <= 3)
        || coalesce(' and ' || nullif(greatest(count(*) - 3, 0), 0) || ' more', '')
    FROM (
        SELECT
            needed.task,
            row_number() OVER (ORDER BY layers.position, needed.task) AS place
        FROM needed
        INNER JOIN layers ON layers.name = split_part(needed.task, '.', 1)
        WHERE
            layers.position < (SELECT this.position FROM layers AS this WHERE this.name = undone_tasks.layer)
            AND NOT EXISTS (
                SELECT FROM audit.steps WHERE steps.run_no = undone_tasks.run_no AND steps.task = needed.task
            )
    ) AS missing
$$;
COMMENT ON FUNCTION audit.undone_tasks(integer, text) IS 'What a run has not done of the layers before one (raw, staging, core, intermediate, marts, end), checks included: the first three; NULL if nothing is missing.';
