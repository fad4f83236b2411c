-- core.activity: as in sql/definitions, where orders and payments are distributed by their customer: joined by both ids
-- they meet on their worker, and each customer's row alone comes to the coordinator.
CREATE OR REPLACE FUNCTION core.activity(everybody boolean) RETURNS TABLE (
    customer_id bigint,
    total_orders bigint,
    total_amount numeric,
    unpaid_amount numeric,
    first_order_date date,
    last_order_date date
)
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    whose constant text := CASE
        WHEN NOT activity.everybody
            THEN 'INNER JOIN core.stale_customers ON payments.customer_id = stale_customers.customer_id'
        ELSE ''
    END;
BEGIN
    RETURN QUERY EXECUTE format(
        $sql$
        WITH net_payments AS (
            SELECT
                payments.customer_id,
                payments.order_id,
                sum(payments.amount) AS amount
            FROM core.payments
            %s
            GROUP BY payments.customer_id, payments.order_id
        ),

        paid_for AS (
            SELECT
                orders.customer_id,
                orders.order_date,
                net_payments.amount,
                core.a_paid_order(net_payments.amount, orders.price) AS is_paid
            FROM net_payments
            INNER JOIN core.orders
                ON net_payments.order_id = orders.order_id AND net_payments.customer_id = orders.customer_id
        )

        SELECT
            paid_for.customer_id,
            count(*) FILTER (WHERE paid_for.is_paid) AS total_orders,
            coalesce(sum(paid_for.amount) FILTER (WHERE paid_for.is_paid), 0) AS total_amount,
            coalesce(sum(paid_for.amount) FILTER (WHERE NOT paid_for.is_paid), 0) AS unpaid_amount,
            min(paid_for.order_date) FILTER (WHERE paid_for.is_paid) AS first_order_date,
            max(paid_for.order_date) FILTER (WHERE paid_for.is_paid) AS last_order_date
        FROM paid_for
        GROUP BY paid_for.customer_id
        $sql$, whose
    );
END $$;
