-- doctor: whether this server and this database are fit for a run; in psql: \i sql/admin/doctor.sql
-- Grain: one row per thing that is looked at.
-- Reads: pg_catalog
-- Write: nothing

WITH here AS (
    SELECT
        databases.encoding,
        databases.datname,
        databases.datdba,
        pg_has_role(databases.datdba, 'USAGE') AS is_owner,
        pg_database_size(databases.oid) AS bytes
    FROM pg_catalog.pg_database AS databases
    WHERE databases.datname = current_database()
),

missing_roles AS (
    SELECT string_agg(known.name, ', ' ORDER BY known.name) AS names
    FROM unnest(ARRAY['ltv_analyst', 'ltv_monitor', 'ltv_report', 'ltv_steward']) AS known (name)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE pg_roles.rolname = known.name)
),

not_ours AS (
    SELECT
        string_agg(
            format('%s (%s)', theirs.oid::regclass, pg_get_userbyid(theirs.relowner)),
            ', ' ORDER BY theirs.oid::regclass::text
        ) AS names
    FROM (
        SELECT
            pg_class.oid,
            pg_class.relowner
        FROM pg_catalog.pg_class
        WHERE
            pg_class.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND pg_class.relnamespace::regnamespace::text IN (
                'raw', 'staging', 'core', 'intermediate', 'marts', 'audit', 'forecast'
            )
            AND NOT pg_has_role(pg_class.relowner, 'USAGE')
        -- First what the doctor itself goes on to read.
        ORDER BY (pg_class.relnamespace = to_regnamespace('audit')) DESC, pg_class.oid
        LIMIT 3
    ) AS theirs
),

-- Whoever has looked at a table between BEGIN and COMMIT holds it: a task that makes it anew waits.
sleeper AS (
    SELECT
        activity.pid,
        min(tables.oid::regclass::text) AS held,
        -- What another login does is hidden from one that is no administrator; its locks are not.
        CASE
            WHEN
                activity.state IS NULL
                THEN format('of %s; whether it sleeps is hidden from %s', activity.usename, current_user)
            ELSE 'and sleeps'
        END AS how
    FROM pg_catalog.pg_stat_activity AS activity
    INNER JOIN pg_catalog.pg_locks AS locks ON activity.pid = locks.pid AND locks.locktype = 'relation'
    INNER JOIN pg_catalog.pg_class AS tables ON locks.relation = tables.oid
    WHERE
        activity.datname = current_database()
        AND (
            (
                activity.state LIKE 'idle in transaction%'
                AND activity.state_change < now() - interval '5 seconds'
                AND tables.relnamespace::regnamespace::text IN (
                    'raw', 'staging', 'core', 'intermediate', 'marts', 'audit'
                )
            )
            -- What a night does not make anew somebody may read, analyze or vacuum at length; what a serializable
            -- transaction has read is no lock that anybody waits for. What has no user is a vacuum: it gives way.
            OR (
                activity.state IS NULL
                AND activity.usesysid IS NOT NULL
                AND locks.granted
                AND locks.mode <> 'SIReadLock'
                AND (
                    tables.relnamespace::regnamespace::text IN ('raw', 'staging', 'intermediate')
                    OR (
                        tables.relnamespace::regnamespace::text IN ('core', 'marts', 'audit')
                        AND locks.mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock')
                    )
                )
            )
        )
    GROUP BY activity.pid, activity.usename, activity.state
    ORDER BY activity.pid
    LIMIT 1
),

used AS (
    SELECT
        count(*) AS sessions,
        current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
        - current_setting('reserved_connections')::integer AS room
    FROM pg_catalog.pg_stat_activity
    -- What kind another login's are is hidden too: those with a database and a user are sessions.
    WHERE
        pg_stat_activity.datid IS NOT NULL
        AND pg_stat_activity.usesysid IS NOT NULL
        AND coalesce(pg_stat_activity.backend_type, 'client backend') = 'client backend'
)

SELECT
    looked_at.subject,
    looked_at.is_fit,
    looked_at.said,
    looked_at.remedy
FROM here
CROSS JOIN missing_roles
CROSS JOIN not_ours
CROSS JOIN used
LEFT JOIN sleeper ON true
CROSS JOIN LATERAL (
    VALUES
    (
        'version',
        current_setting('server_version_num')::integer >= 180000,
        'PostgreSQL ' || current_setting('server_version'),
        'PostgreSQL 18 or later is needed'
    ),
    (
        'writing',
        current_setting('transaction_read_only') = 'off',
        CASE
            WHEN pg_is_in_recovery() THEN 'this is a standby: it only reads'
            WHEN current_setting('transaction_read_only') = 'off' THEN 'this server takes writes'
            ELSE 'sessions here only read: default_transaction_read_only'
        END,
        'name the primary, or every host and target_session_attrs=read-write; or was its disk full?'
    ),
    (
        'encoding',
        pg_encoding_to_char(here.encoding) = 'UTF8',
        pg_encoding_to_char(here.encoding),
        'make the database anew: CREATE DATABASE … TEMPLATE template0 ENCODING ''UTF8'''
    ),
    (
        'owner',
        here.is_owner,
        format('%s %s %s', current_user, CASE WHEN here.is_owner THEN 'owns' ELSE 'does not own' END, here.datname),
        'let an administrator run sql/admin/roles.sql in this database'
    ),
    (
        'tables',
        not_ours.names IS NULL,
        coalesce('of somebody else: ' || not_ours.names, current_user || ' may change every table'),
        format('ALTER TABLE … OWNER TO %I, as an administrator', pg_get_userbyid(here.datdba))
    ),
    (
        'roles',
        missing_roles.names IS NULL,
        coalesce(missing_roles.names || ' missing', 'ltv_analyst, ltv_monitor, ltv_report and ltv_steward are there'),
        'let an administrator run sql/admin/roles.sql in this database'
    ),
    (
        'sessions',
        used.sessions + 10 <= used.room,
        format('%s of %s taken', used.sessions, used.room),
        'a run needs ten: raise max_connections, or put PgBouncer in front'
    ),
    (
        'locks',
        sleeper.pid IS NULL,
        coalesce(
            format('process %s holds %s ', sleeper.pid, sleeper.held) || sleeper.how, 'nobody holds a table and sleeps'
        ),
        'have that session COMMIT or ROLLBACK, or end it: SELECT pg_terminate_backend(pid)'
    ),
    (
        'size',
        true,
        pg_size_pretty(here.bytes) || ' in this database',
        ''
    )
) AS looked_at (subject, is_fit, said, remedy);
