-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE SCHEMA IF NOT EXISTS audit;
COMMENT ON SCHEMA audit IS 'What the pipeline expects, did, refused and found: sources, runs, loads, rejects, checks.';

COMMENT ON TABLE audit.schema_migrations IS 'The ledger of dbmate: which migrations have been applied. One row per migration.';
COMMENT ON COLUMN audit.schema_migrations.version IS 'The number of the migration.';

CREATE TABLE audit.sources (
    source text NOT NULL PRIMARY KEY,
    entity text NOT NULL UNIQUE,
    columns text[] NOT NULL,
    kind text NOT NULL CHECK (kind IN ('delta', 'snapshot')),
    encoding text NOT NULL,
    delimiter text NOT NULL CHECK (length(delimiter) = 1),
    null_tokens text[] NOT NULL,
    max_reject_share numeric NOT NULL CHECK (max_reject_share BETWEEN 0 AND 1),
    max_waiting_share numeric NOT NULL CHECK (max_waiting_share BETWEEN 0 AND 1),
    max_volume_fall numeric NOT NULL CHECK (max_volume_fall BETWEEN 0 AND 1),
    max_total_change numeric NOT NULL CHECK (max_total_change >= 0)
);
COMMENT ON TABLE audit.sources IS 'What each delivered file must look like and how much of it may be wrong. Written from sql/definitions/sources.sql. One row per source.';
COMMENT ON COLUMN audit.sources.source IS 'The file name without its ending, and the name of its table in raw.';
COMMENT ON COLUMN audit.sources.entity IS 'The table in staging and core that it fills.';
COMMENT ON COLUMN audit.sources.columns IS 'The columns that the header must name, in any order.';
COMMENT ON COLUMN audit.sources.kind IS 'delta: an absent row stays; snapshot: an absent row is removed from core.';
COMMENT ON COLUMN audit.sources.encoding IS 'The encoding of the file, by its PostgreSQL name.';
COMMENT ON COLUMN audit.sources.delimiter IS 'The character between two fields.';
COMMENT ON COLUMN audit.sources.null_tokens IS 'Field values, in upper case and without outer blanks, that mean: not known.';
COMMENT ON COLUMN audit.sources.max_reject_share IS 'Share of rejected lines above which the run fails before core changes.';
COMMENT ON COLUMN audit.sources.max_waiting_share IS 'Share of lines waiting for a parent or a day above which the run fails before core changes.';
COMMENT ON COLUMN audit.sources.max_volume_fall IS 'How far, as a share, a delivery may fall short of the recent ones.';
COMMENT ON COLUMN audit.sources.max_total_change IS 'How far, as a share, the total ltv may move in one run on account of this source.';

CREATE TABLE audit.deployments (
    deployed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp() PRIMARY KEY,
    fingerprint text NOT NULL
);
COMMENT ON TABLE audit.deployments IS 'When which version of sql/migrations and sql/definitions was applied. One row per make migrate.';
COMMENT ON COLUMN audit.deployments.deployed_at IS 'When it was applied.';
COMMENT ON COLUMN audit.deployments.fingerprint IS 'sha256 over the files of sql/migrations and sql/definitions.';

CREATE TABLE audit.runs (
    run_no integer NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_run_id text NOT NULL UNIQUE,
    as_of date NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'published', 'failed', 'abandoned')),
    reason text,
    fingerprint text NOT NULL,
    started_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamp with time zone
);
CREATE UNIQUE INDEX runs_only_one_open ON audit.runs (state) WHERE state = 'open';
COMMENT ON TABLE audit.runs IS 'Every run of the pipeline and how it ended; at most one is open. One row per run.';
COMMENT ON COLUMN audit.runs.run_no IS 'The number by which kept rows name the run that wrote them.';
COMMENT ON COLUMN audit.runs.dag_run_id IS 'The run''s id in Airflow.';
COMMENT ON COLUMN audit.runs.as_of IS 'The last complete day that the run looks at.';
COMMENT ON COLUMN audit.runs.state IS 'open, published, failed, or abandoned (a newer run began).';
COMMENT ON COLUMN audit.runs.reason IS 'Why it failed or was abandoned.';
COMMENT ON COLUMN audit.runs.fingerprint IS 'sha256 over every SQL file that the run was made of.';
COMMENT ON COLUMN audit.runs.started_at IS 'When it began.';
COMMENT ON COLUMN audit.runs.ended_at IS 'When it was closed.';

CREATE TABLE audit.steps (
    run_no integer NOT NULL REFERENCES audit.runs (run_no),
    task text NOT NULL,
    rows_written bigint,
    seconds numeric(12, 3) NOT NULL,
    ended_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_no, task)
);
COMMENT ON TABLE audit.steps IS 'What each task of a run wrote and how long it took. One row per run and task.';
COMMENT ON COLUMN audit.steps.run_no IS 'The run.';
COMMENT ON COLUMN audit.steps.task IS 'The task, which is also the table or the check that it ran.';
COMMENT ON COLUMN audit.steps.rows_written IS 'Rows that the task wrote; of several statements, the one that wrote most. A check writes none.';
COMMENT ON COLUMN audit.steps.seconds IS 'Seconds from the start of its transaction to its end.';
COMMENT ON COLUMN audit.steps.ended_at IS 'When it ended.';

CREATE TABLE audit.loads (
    run_no integer NOT NULL REFERENCES audit.runs (run_no),
    source text NOT NULL REFERENCES audit.sources (source),
    file text NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    first_line_no bigint NOT NULL,
    records bigint NOT NULL,
    loaded bigint NOT NULL,
    extra_columns text[] NOT NULL,
    seconds numeric(12, 3) NOT NULL,
    loaded_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    good bigint,
    superseded bigint,
    rejected bigint,
    waiting bigint,
    PRIMARY KEY (run_no, source, file)
);
COMMENT ON TABLE audit.loads IS 'Every file received, and what became of its lines. One row per run and file.';
COMMENT ON COLUMN audit.loads.run_no IS 'The run.';
COMMENT ON COLUMN audit.loads.source IS 'The source that the file belongs to.';
COMMENT ON COLUMN audit.loads.file IS 'The file''s name, without its folder.';
COMMENT ON COLUMN audit.loads.bytes IS 'Its size as stored, in bytes.';
COMMENT ON COLUMN audit.loads.sha256 IS 'sha256 over its bytes as stored.';
COMMENT ON COLUMN audit.loads.first_line_no IS 'line_no in raw of its first record.';
COMMENT ON COLUMN audit.loads.records IS 'Records in the file, its header not counted.';
COMMENT ON COLUMN audit.loads.loaded IS 'Records that reached raw.';
COMMENT ON COLUMN audit.loads.extra_columns IS 'Columns that nobody declared: they land in raw and go no further.';
COMMENT ON COLUMN audit.loads.seconds IS 'Seconds that its COPY took.';
COMMENT ON COLUMN audit.loads.loaded_at IS 'When it was copied.';
COMMENT ON COLUMN audit.loads.good IS 'Lines that core takes (NULL until staging has judged them).';
COMMENT ON COLUMN audit.loads.superseded IS 'Lines whose key a later line carries too: the duplicates.';
COMMENT ON COLUMN audit.loads.rejected IS 'Lines set aside because a rule refuses them.';
COMMENT ON COLUMN audit.loads.waiting IS 'Lines held until their parent or their day arrives.';

CREATE TABLE audit.rejected_rows (
    rejected_row_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL REFERENCES audit.sources (source),
    file text NOT NULL,
    line_no bigint NOT NULL,
    fields jsonb NOT NULL,
    reason text NOT NULL,
    column_name text NOT NULL GENERATED ALWAYS AS (split_part(reason, ' ', 1)) STORED,
    rule text NOT NULL GENERATED ALWAYS AS (split_part(reason, ':', 1)) STORED,
    is_waiting boolean NOT NULL GENERATED ALWAYS AS (split_part(reason, ':', 1) LIKE '% waits') STORED,
    row_hash text NOT NULL GENERATED ALWAYS AS (md5(source || fields::text || reason)) STORED,
    first_run_no integer NOT NULL REFERENCES audit.runs (run_no),
    last_run_no integer NOT NULL REFERENCES audit.runs (run_no),
    first_seen_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    released_run_no integer REFERENCES audit.runs (run_no),
    superseded_run_no integer REFERENCES audit.runs (run_no),
    CHECK (released_run_no IS NULL OR superseded_run_no IS NULL)
);
CREATE UNIQUE INDEX rejected_rows_once ON audit.rejected_rows (source, row_hash)
WHERE released_run_no IS NULL AND superseded_run_no IS NULL;
CREATE INDEX rejected_rows_waiting ON audit.rejected_rows (source)
WHERE is_waiting AND released_run_no IS NULL AND superseded_run_no IS NULL;
COMMENT ON TABLE audit.rejected_rows IS 'Lines that a rule refused, and lines that wait for their parent or their day. The same bad line delivered again stays one row. One row per line set aside.';
COMMENT ON COLUMN audit.rejected_rows.rejected_row_id IS 'Its number.';
COMMENT ON COLUMN audit.rejected_rows.source IS 'The source that it came from.';
COMMENT ON COLUMN audit.rejected_rows.file IS 'The file in which it was seen last.';
COMMENT ON COLUMN audit.rejected_rows.line_no IS 'Its record in that file, the header being the first: its line, unless a quoted field before it breaks a line.';
COMMENT ON COLUMN audit.rejected_rows.fields IS 'The fields as received. Personal data.';
COMMENT ON COLUMN audit.rejected_rows.reason IS 'Column, rule and explanation: "price negative: …".';
COMMENT ON COLUMN audit.rejected_rows.column_name IS 'The column at fault.';
COMMENT ON COLUMN audit.rejected_rows.rule IS 'The rule that refused it: column and flaw.';
COMMENT ON COLUMN audit.rejected_rows.is_waiting IS 'It is tried again at every run.';
COMMENT ON COLUMN audit.rejected_rows.row_hash IS 'md5 of source, fields and reason: what makes it the same row.';
COMMENT ON COLUMN audit.rejected_rows.first_run_no IS 'The first run that saw it.';
COMMENT ON COLUMN audit.rejected_rows.last_run_no IS 'The last run that saw it.';
COMMENT ON COLUMN audit.rejected_rows.first_seen_at IS 'When it was first seen.';
COMMENT ON COLUMN audit.rejected_rows.last_seen_at IS 'When it was last seen.';
COMMENT ON COLUMN audit.rejected_rows.released_run_no IS 'The run that merged it into core, for a row that waited.';
COMMENT ON COLUMN audit.rejected_rows.superseded_run_no IS 'The run in which a newer line with its key, or a newer verdict on it, took its place.';

CREATE TABLE audit.ledger (
    run_no integer NOT NULL REFERENCES audit.runs (run_no),
    table_name text NOT NULL,
    rows_before bigint NOT NULL,
    amount_before numeric NOT NULL,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_change bigint NOT NULL DEFAULT 0,
    amount_change numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (run_no, table_name)
);
COMMENT ON TABLE audit.ledger IS 'What a run found in a table of core and what it changed there, so that the two add up. One row per run and table.';
COMMENT ON COLUMN audit.ledger.run_no IS 'The run.';
COMMENT ON COLUMN audit.ledger.table_name IS 'The table of core.';
COMMENT ON COLUMN audit.ledger.rows_before IS 'Rows before the run changed it.';
COMMENT ON COLUMN audit.ledger.amount_before IS 'Sum of its amount column before the run changed it; 0 where it has none.';
COMMENT ON COLUMN audit.ledger.rows_written IS 'Rows inserted, updated and deleted.';
COMMENT ON COLUMN audit.ledger.rows_change IS 'Rows inserted less rows deleted.';
COMMENT ON COLUMN audit.ledger.amount_change IS 'Sum of new amounts less old amounts over the changed rows.';

CREATE TABLE audit.check_results (
    run_no integer NOT NULL REFERENCES audit.runs (run_no),
    claim text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('passed', 'warned', 'failed')),
    bad_rows numeric NOT NULL,
    checked_rows numeric NOT NULL,
    observed_share numeric,
    fail_over numeric NOT NULL,
    warn_over numeric,
    example text,
    said text NOT NULL,
    checked_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_no, claim)
);
COMMENT ON TABLE audit.check_results IS 'Every verdict of every check, passes included. One row per run and claim.';
COMMENT ON COLUMN audit.check_results.run_no IS 'The run.';
COMMENT ON COLUMN audit.check_results.claim IS 'The check: the name of its file.';
COMMENT ON COLUMN audit.check_results.verdict IS 'passed, warned or failed.';
COMMENT ON COLUMN audit.check_results.bad_rows IS 'Rows (or amount) that break the claim.';
COMMENT ON COLUMN audit.check_results.checked_rows IS 'Rows (or amount) looked at.';
COMMENT ON COLUMN audit.check_results.observed_share IS 'bad_rows / checked_rows.';
COMMENT ON COLUMN audit.check_results.fail_over IS 'The share above which the check fails; 0 where it has no limit.';
COMMENT ON COLUMN audit.check_results.warn_over IS 'The share above which it warns; NULL for never.';
COMMENT ON COLUMN audit.check_results.example IS 'One of the rows that break the claim.';
COMMENT ON COLUMN audit.check_results.said IS 'The sentence in the task''s log.';
COMMENT ON COLUMN audit.check_results.checked_at IS 'When it was checked.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
