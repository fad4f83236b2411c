-- forecast.every_buying_day: the rows of forecast.buying_days, one per customer_id and day with a paid order.
CREATE OR REPLACE FUNCTION forecast.every_buying_day() RETURNS TABLE (
    customer_id bigint,
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
        paid_orders.customer_id,
        paid_orders.order_date,
        count(*) AS orders,
        sum(paid_orders.amount) AS amount
    FROM core.paid_orders
    GROUP BY paid_orders.customer_id, paid_orders.order_date;
END $$;
COMMENT ON FUNCTION forecast.every_buying_day() IS 'The days on which customers have bought, with paid orders and amount, where core is distributed.';
