-- core.activity: what customers bought and paid, from core's orders and payments: everybody, or only stale customers.
-- Inlined where it is called with a constant, so that each of the two gets a plan of its own. "everybody", which the
-- linter takes for a column, is the argument.
CREATE OR REPLACE FUNCTION core.activity(everybody boolean) RETURNS TABLE (
    customer_id bigint,
    total_orders bigint,
    total_amount numeric,
    unpaid_amount numeric,
    first_order_date date,
    last_order_date date
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH net_payments AS (
        SELECT
            payments.order_id,
            sum(payments.amount) AS amount
        FROM core.payments
        WHERE everybody -- noqa: RF03
        GROUP BY payments.order_id
        UNION ALL
        SELECT
            payments.order_id,
            sum(payments.amount) AS amount
        FROM core.stale_customers
        INNER JOIN core.payments ON stale_customers.customer_id = payments.customer_id
        WHERE NOT everybody -- noqa: RF02
        GROUP BY payments.order_id
    ),

    -- A payment's customer is its order's: joined by both, the planner would expect next to nothing.
    paid_for AS (
        SELECT
            orders.customer_id,
            orders.order_date,
            net_payments.amount,
            core.a_paid_order(net_payments.amount, orders.price) AS is_paid
        FROM net_payments
        INNER JOIN core.orders ON net_payments.order_id = orders.order_id
    )

    SELECT
        paid_for.customer_id,
        count(*) FILTER (WHERE paid_for.is_paid) AS total_orders,
        coalesce(sum(paid_for.amount) FILTER (WHERE paid_for.is_paid), 0) AS total_amount,
        coalesce(sum(paid_for.amount) FILTER (WHERE NOT paid_for.is_paid), 0) AS unpaid_amount,
        min(paid_for.order_date) FILTER (WHERE paid_for.is_paid) AS first_order_date,
        max(paid_for.order_date) FILTER (WHERE paid_for.is_paid) AS last_order_date
    FROM paid_for
    GROUP BY paid_for.customer_id;
END;
COMMENT ON FUNCTION core.activity(boolean) IS 'What customers bought and paid, from core.orders and core.payments: everybody, or only those in core.stale_customers. One row per customer with a payment.';
