-- write_guard: while a run is open nobody else writes what it writes.
-- Grain: one trigger per table of core and marts, and on what a file writes last; a rebuilt table has its own.
-- Reads: nothing
-- Write: triggers. A task is in its run (audit.enter_run); a person in psql is not.

SELECT audit.guard(tables.oid::regclass) AS guarded
FROM pg_catalog.pg_class AS tables
WHERE
    tables.relnamespace::regnamespace::text IN ('core', 'marts')
    AND tables.relkind IN ('r', 'p');

-- At the end of the transaction: until then a file can be tried.
DROP TRIGGER IF EXISTS by_hand_is_for_trying ON audit.loads;
CREATE CONSTRAINT TRIGGER by_hand_is_for_trying AFTER UPDATE OF good ON audit.loads
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.refuse_by_hand();
DROP TRIGGER IF EXISTS by_hand_is_for_trying ON marts.freshness;
CREATE CONSTRAINT TRIGGER by_hand_is_for_trying AFTER INSERT OR UPDATE ON marts.freshness
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.refuse_by_hand();
DROP TRIGGER IF EXISTS by_hand_is_for_trying ON audit.ledger;
CREATE CONSTRAINT TRIGGER by_hand_is_for_trying AFTER INSERT OR UPDATE OF rows_written ON audit.ledger
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.refuse_by_hand();
