-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TABLE audit.sql_files (
    fingerprint text NOT NULL,
    file text NOT NULL,
    sha256 text NOT NULL,
    PRIMARY KEY (fingerprint, file)
);
COMMENT ON TABLE audit.sql_files IS 'The SQL files of every run, by the fingerprint that audit.runs has: runs by the same SQL share them. One row per fingerprint and file.';
COMMENT ON COLUMN audit.sql_files.fingerprint IS 'As in audit.runs: sha256 over all of them.';
COMMENT ON COLUMN audit.sql_files.file IS 'The file, from the root of the repository.';
COMMENT ON COLUMN audit.sql_files.sha256 IS 'sha256 over its text.';

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward: write the next one'; END $$;
