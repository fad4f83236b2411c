-- write_guard: while a run is open nobody else writes what it writes.
-- Grain: one trigger per table of core and marts, and on what a file writes last; a rebuilt table has its own.
-- Reads: nothing
-- Write: triggers. A task is in its run (audit.enter_run); a person in psql is not.

SELECT audit.guard(tables.oid::regclass) AS guarded
FROM pg_catalog.pg_class AS tables
WHERE
    tables.relnamespace::regnamespace::text IN ('core', 'marts')
    AND tables.relkind IN ('r', 'p');

-- At the end of the transaction: until then a file can be tried. Made once: to make one anew would wait for readers.
DO $$
DECLARE
    events text;
    guarded regclass;
BEGIN
    FOR events, guarded IN
        SELECT
            last_written.events,
            last_written.table_name::regclass
        FROM (
            VALUES
            ('UPDATE OF good', 'audit.loads'),
            ('INSERT OR UPDATE OF rows_written', 'audit.ledger'),
            ('INSERT OR UPDATE', 'marts.freshness')
        ) AS last_written (events, table_name)
        WHERE
            NOT EXISTS (
                SELECT FROM pg_catalog.pg_trigger
                WHERE
                    pg_trigger.tgname = 'by_hand_is_for_trying'
                    AND pg_trigger.tgrelid = last_written.table_name::regclass
            )
    LOOP
        EXECUTE format(
            'CREATE CONSTRAINT TRIGGER by_hand_is_for_trying AFTER %s ON %s '
            || 'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.refuse_by_hand()',
            events, guarded
        );
    END LOOP;
END $$;
