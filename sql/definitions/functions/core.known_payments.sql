-- core.known_payments: the payments that core has, for a delivery that names some of them.
-- Inlined: on one server it is the table itself (core.known_customers says what it is for).
CREATE OR REPLACE FUNCTION core.known_payments(source text) RETURNS TABLE (
    payment_id bigint,
    customer_id bigint,
    order_id bigint,
    payment_date date,
    amount numeric(14, 2)
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        payments.payment_id,
        payments.customer_id,
        payments.order_id,
        payments.payment_date,
        payments.amount
    FROM core.payments;
END;
COMMENT ON FUNCTION core.known_payments(text) IS 'The payments that core has, at least those that the lines of a source (payment_data) name, in raw or waiting.';
