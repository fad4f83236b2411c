-- undo_log: what a run changes or removes in core is kept in audit.replaced_rows, as it was.
-- Grain: two triggers per table of core that a run writes.
-- Reads: nothing
-- Write: triggers. Inserts need none: the row's run_no says who inserted it.

CREATE OR REPLACE TRIGGER keep_replaced_by_update
AFTER UPDATE ON core.customers REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('customer_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_delete
AFTER DELETE ON core.customers REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('customer_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_update
AFTER UPDATE ON core.orders REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('order_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_delete
AFTER DELETE ON core.orders REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('order_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_update
AFTER UPDATE ON core.payments REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('payment_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_delete
AFTER DELETE ON core.payments REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('payment_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_update
AFTER UPDATE ON core.customer_activity REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('customer_id');
CREATE OR REPLACE TRIGGER keep_replaced_by_delete
AFTER DELETE ON core.customer_activity REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.keep_replaced('customer_id');
