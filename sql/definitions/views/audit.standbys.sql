-- audit.standbys: how far each server that follows this one is behind.
-- Grain: one row per standby that is connected.
-- Reads: pg_catalog.pg_stat_replication
-- Write: a view. Whoever is not in pg_read_all_stats (pg_monitor is) sees that there is one, and nothing more.
CREATE OR REPLACE VIEW audit.standbys AS
SELECT
    following.standby,
    following.bytes_behind,
    -- Of one that has caught up the server forgets the last lag; of one that stands still it may know none.
    CASE WHEN following.bytes_behind = 0 THEN 0 ELSE extract(EPOCH FROM following.replay_lag) END AS seconds_behind
FROM (
    SELECT
        pg_stat_replication.replay_lag,
        coalesce(pg_stat_replication.application_name, '') AS standby,
        pg_wal_lsn_diff(
            -- One that follows a standby.
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
            pg_stat_replication.replay_lsn
        ) AS bytes_behind
    FROM pg_catalog.pg_stat_replication
    -- A backup follows nobody.
    WHERE pg_stat_replication.state IS DISTINCT FROM 'backup'
) AS following;
COMMENT ON VIEW audit.standbys IS 'How far each server that follows this one is behind, for those in pg_read_all_stats; anybody else sees that there is one. One row per standby that is connected.';
COMMENT ON COLUMN audit.standbys.standby IS 'Its application_name; empty where it has none.';
COMMENT ON COLUMN audit.standbys.bytes_behind IS 'Bytes of WAL that it has not replayed yet.';
COMMENT ON COLUMN audit.standbys.seconds_behind IS 'How long its last replayed commit took to get there. NULL where the server knows none.';
