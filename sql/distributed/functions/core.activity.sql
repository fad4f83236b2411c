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
        WITH paid_for AS (
            SELECT
                payments.customer_id,
                payments.order_id,
                sum(payments.amount) AS amount,
                sum(payments.amount) > 0 AS is_paid
            FROM core.payments
            %s
            GROUP BY payments.customer_id, payments.order_id
        )

        SELECT
            orders.customer_id,
            count(*) FILTER (WHERE paid_for.is_paid) AS total_orders,
            coalesce(sum(paid_for.amount) FILTER (WHERE paid_for.is_paid), 0) AS total_amount,
            coalesce(sum(paid_for.amount) FILTER (WHERE NOT paid_for.is_paid), 0) AS unpaid_amount,
            min(orders.order_date) FILTER (WHERE paid_for.is_paid) AS first_order_date,
            max(orders.order_date) FILTER (WHERE paid_for.is_paid) AS last_order_date
        FROM paid_for
        INNER JOIN core.orders ON paid_for.order_id = orders.order_id AND paid_for.customer_id = orders.customer_id
        GROUP BY orders.customer_id
        $sql$, whose
    );
END $$;
