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

    -- A paid order is one whose payments, refunds deducted, add up to more than 0.
    paid_for AS (
        SELECT
            net_payments.order_id,
            net_payments.amount,
            net_payments.amount > 0 AS is_paid
        FROM net_payments
    )

    -- A payment's customer is its order's: joined by both, the planner would expect next to nothing.
    SELECT
        orders.customer_id,
        count(*) FILTER (WHERE paid_for.is_paid) AS total_orders,
        coalesce(sum(paid_for.amount) FILTER (WHERE paid_for.is_paid), 0) AS total_amount,
        coalesce(sum(paid_for.amount) FILTER (WHERE NOT paid_for.is_paid), 0) AS unpaid_amount,
        min(orders.order_date) FILTER (WHERE paid_for.is_paid) AS first_order_date,
        max(orders.order_date) FILTER (WHERE paid_for.is_paid) AS last_order_date
    FROM paid_for
    INNER JOIN core.orders ON paid_for.order_id = orders.order_id
    GROUP BY orders.customer_id;
END;
COMMENT ON FUNCTION core.activity(boolean) IS 'What customers bought and paid, from core.orders and core.payments: everybody, or only those in core.stale_customers. One row per customer with a payment.';
