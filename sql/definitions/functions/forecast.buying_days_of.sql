-- forecast.buying_days_of: forecast.buying_days of one customer, found by index. A test holds that the two are equal.
CREATE OR REPLACE FUNCTION forecast.buying_days_of(whose bigint) RETURNS TABLE (
    order_date date,
    orders bigint,
    amount numeric
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH paid_for AS (
        SELECT
            payments.order_id,
            sum(payments.amount) AS amount
        FROM core.payments
        WHERE payments.customer_id = whose -- noqa: RF03
        GROUP BY payments.order_id
    )

    SELECT
        orders.order_date,
        count(*) AS orders,
        sum(paid_for.amount) AS amount
    FROM paid_for
    INNER JOIN core.orders ON paid_for.order_id = orders.order_id
    WHERE core.a_paid_order(paid_for.amount, orders.price)
    GROUP BY orders.order_date;
END;
COMMENT ON FUNCTION forecast.buying_days_of(bigint) IS 'The days on which a customer has bought, with paid orders and amount: forecast.buying_days of one.';
