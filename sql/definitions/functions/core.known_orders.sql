-- core.known_orders: the orders that core has, for a delivery that names some of them.
-- Inlined: on one server it is the table itself (core.known_customers says what it is for).
CREATE OR REPLACE FUNCTION core.known_orders(source text) RETURNS TABLE (
    order_id bigint,
    customer_id bigint,
    order_date date,
    product text,
    price numeric(14, 2)
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.product,
        orders.price
    FROM core.orders;
END;
COMMENT ON FUNCTION core.known_orders(text) IS 'The orders that core has, at least those that the lines of a source (order_data, payment_data) name, in raw or waiting.';
