-- marts.freshness_here: how old the numbers are on the server that is asked, which may be a replica.
-- Grain: one row.
-- Reads: marts.freshness, pg_catalog.pg_stat_wal_receiver
-- Write: a view.
CREATE OR REPLACE VIEW marts.freshness_here AS
SELECT
    freshness.as_of,
    freshness.published_at,
    pg_is_in_recovery() AS is_replica,
    CASE
        WHEN NOT pg_is_in_recovery() THEN 0
        -- All that has come is here, and more would come.
        WHEN
            pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
            AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver)
            THEN 0
        ELSE extract(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END AS seconds_behind
FROM marts.freshness;
COMMENT ON VIEW marts.freshness_here IS 'How old the numbers are on the server that is asked, which may be a replica. One row.';
COMMENT ON COLUMN marts.freshness_here.as_of IS 'The last day that the numbers here know of.';
COMMENT ON COLUMN marts.freshness_here.published_at IS 'When they were published; a run that changes nothing leaves it.';
COMMENT ON COLUMN marts.freshness_here.is_replica IS 'Whether this server follows another one.';
COMMENT ON COLUMN marts.freshness_here.seconds_behind IS 'How far a replica is behind: the age of the last commit that it has replayed, 0 once it has all that came. NULL where it has replayed none.';
