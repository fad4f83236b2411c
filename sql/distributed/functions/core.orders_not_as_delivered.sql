-- core.orders_not_as_delivered: as in sql/definitions: each line is held against core on its customer's worker.
CREATE OR REPLACE FUNCTION core.orders_not_as_delivered() RETURNS TABLE (order_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO core.delivered_orders (
        order_id, customer_id, order_date, product, price
    )
    SELECT
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.product,
        orders.price
    FROM staging.orders
    WHERE orders.reason IS NULL;
    RETURN QUERY
    SELECT delivered.order_id
    FROM core.delivered_orders AS delivered
    LEFT JOIN core.orders AS kept ON delivered.order_id = kept.order_id AND delivered.customer_id = kept.customer_id
    WHERE (
        kept.order_id,
        kept.customer_id,
        kept.order_date,
        kept.product,
        kept.price
    ) IS DISTINCT FROM (
        delivered.order_id,
        delivered.customer_id,
        delivered.order_date,
        delivered.product,
        delivered.price
    );
    DELETE FROM core.delivered_orders;
END $$;
