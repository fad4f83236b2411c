-- core.orders_not_as_delivered: good lines of the delivery that do not stand in core as delivered.
-- Inlined, and so without a path of its own: staging is made anew each night, which no bound function outlives.
CREATE OR REPLACE FUNCTION core.orders_not_as_delivered() RETURNS TABLE (order_id bigint)
LANGUAGE sql STABLE
AS $$
    SELECT delivered.order_id
    FROM staging.orders AS delivered
    LEFT JOIN core.orders AS kept ON delivered.order_id = kept.order_id
    WHERE
        delivered.reason IS NULL
        AND (
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
        )
$$;
COMMENT ON FUNCTION core.orders_not_as_delivered() IS 'Good lines of the delivery that do not stand in core.orders as delivered.';
