-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

ALTER TABLE audit.loads
ADD COLUMN same_as_run_no integer,
ADD COLUMN declared text,
ADD COLUMN kind text;
COMMENT ON COLUMN audit.loads.kind IS 'What the source was declared to be when the file was loaded: delta or snapshot. NULL before that was noted.';
COMMENT ON COLUMN audit.loads.same_as_run_no IS 'The run whose delivery this one equals: not loaded again; the counts are those of that run. NULL where it was loaded.';
COMMENT ON COLUMN audit.loads.declared IS 'md5 of what audit.sources said of the source when the file was loaded.';

ALTER TABLE audit.runs
ADD COLUMN deployed_at timestamp with time zone,
ADD COLUMN tasks text[];
COMMENT ON COLUMN audit.runs.tasks IS 'The tasks that it has to do, checks included: a later layer asks whether those before it were done.';
COMMENT ON COLUMN audit.runs.deployed_at IS 'The deployment (audit.deployments) that it began on: its tasks work on no other.';
COMMENT ON COLUMN audit.runs.reason IS 'Why it failed, or was abandoned or undone; of a published run, the nights before it that are missing.';

ALTER TABLE audit.rejected_rows ADD COLUMN corrects_row_id bigint;
COMMENT ON COLUMN audit.rejected_rows.corrects_row_id IS 'The row that a person has corrected into this one, with audit.replay. NULL where it is as delivered.';
UPDATE audit.rejected_rows
SET
    corrects_row_id = coalesce(
        (
            SELECT max(corrected.rejected_row_id)
            FROM audit.rejected_rows AS corrected
            WHERE corrected.closed_by = format('corrected as row %s', rejected_rows.rejected_row_id)
        ),
        -- By an older audit.replay, which did not say so.
        rejected_rows.rejected_row_id
    )
WHERE rejected_rows.rule = 'line waits';

-- A week has 168 hours, also where the clocks change.
-- squawk-ignore ban-drop-constraint
ALTER TABLE audit.overrides DROP CONSTRAINT overrides_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE audit.overrides ADD CONSTRAINT overrides_check
CHECK (expires_at <= granted_at + interval '168 hours');

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
