-- audit.filled_before: the tables of its own layer that a run fills before a task is done.
CREATE OR REPLACE FUNCTION audit.filled_before(run_no integer, task text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT array_agg(listed.task)
    FROM audit.runs
    CROSS JOIN LATERAL unnest(runs.tasks) WITH ORDINALITY AS listed (task, position)
    CROSS JOIN LATERAL (SELECT split_part(filled_before.task, '__', 1) AS name) AS own
    WHERE
        runs.run_no = filled_before.run_no
        AND strpos(listed.task, '__') = 0
        AND audit.layer_no(listed.task) = audit.layer_no(filled_before.task)
        AND (
            -- The files of raw are copied side by side.
            (listed.position < array_position(runs.tasks, own.name) AND audit.layer_no(own.name) > 1)
            -- A check comes after its table.
            OR (listed.task = own.name AND listed.task <> filled_before.task)
        )
$$;
COMMENT ON FUNCTION audit.filled_before(integer, text) IS 'The tables of its own layer that a run fills before a task is done, in the order of audit.runs.tasks; NULL where there are none.';
