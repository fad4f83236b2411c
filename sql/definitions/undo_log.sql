-- undo_log: what a run changes or removes in core is kept in audit.replaced_rows, as it was.
-- Grain: two triggers per table of core that a run writes.
-- Reads: nothing
-- Write: triggers. Inserts need none: the row's run_no says who inserted it.

DO $$
DECLARE
    kept_table text;
    key text;
    event text;
BEGIN
    FOR kept_table, key, event IN
        SELECT kept.table_name, kept.key, events.name
        FROM (
            VALUES
            ('customers', 'customer_id'),
            ('orders', 'order_id'),
            ('payments', 'payment_id'),
            ('customer_activity', 'customer_id')
        ) AS kept (table_name, key)
        CROSS JOIN (VALUES ('update'), ('delete')) AS events (name)
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER keep_replaced_by_%1$s AFTER %1$s ON core.%2$I REFERENCING OLD TABLE AS gone '
            || 'FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced(%3$L)',
            event, kept_table, key
        );
    END LOOP;
END $$;
