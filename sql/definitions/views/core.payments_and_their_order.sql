-- core.payments_and_their_order: payments, and to whom core has their order belong.
-- Grain: one row per payment_id.
-- Reads: core.payments, core.orders
-- Write: a view. Joined by the number alone: ids come nearly in order, customers do not, and by both the rows
-- would be sorted by the customer first. sql/distributed joins by both: order and payment are on one worker.
CREATE OR REPLACE VIEW core.payments_and_their_order AS
SELECT
    payments.payment_id,
    payments.customer_id,
    payments.order_id,
    payments.run_no,
    orders.customer_id AS order_customer_id
FROM core.payments
LEFT JOIN core.orders ON payments.order_id = orders.order_id;
COMMENT ON VIEW core.payments_and_their_order IS 'Payments, and to whom core has their order belong. One row per payment_id.';
COMMENT ON COLUMN core.payments_and_their_order.payment_id IS 'The payment.';
COMMENT ON COLUMN core.payments_and_their_order.customer_id IS 'Whose it is.';
COMMENT ON COLUMN core.payments_and_their_order.order_id IS 'The order that it is for.';
COMMENT ON COLUMN core.payments_and_their_order.run_no IS 'The run that last wrote the payment.';
COMMENT ON COLUMN core.payments_and_their_order.order_customer_id IS 'Whose the order is; NULL where core has no such order. Where core is distributed: none of this customer.';
