-- forecast.buying_days_of: as in sql/definitions: asked of the customer's worker.
CREATE OR REPLACE FUNCTION forecast.buying_days_of(whose bigint) RETURNS TABLE (
    order_date date,
    orders bigint,
    amount numeric
)
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        paid_orders.order_date,
        count(*) AS orders,
        sum(paid_orders.amount) AS amount
    FROM core.paid_orders
    WHERE paid_orders.customer_id = whose
    GROUP BY paid_orders.order_date;
END $$;
