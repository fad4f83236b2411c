-- core.payments_and_their_order: as in sql/definitions, where orders and payments are distributed by their customer.
-- Grain: one row per payment_id.
-- Reads: core.payments, core.orders
-- Write: a view. An order of another customer, who may be on another worker, counts as none.
CREATE OR REPLACE VIEW core.payments_and_their_order AS
SELECT
    payments.payment_id,
    payments.customer_id,
    payments.order_id,
    payments.run_no,
    orders.customer_id AS order_customer_id
FROM core.payments
LEFT JOIN core.orders ON payments.order_id = orders.order_id AND payments.customer_id = orders.customer_id;
