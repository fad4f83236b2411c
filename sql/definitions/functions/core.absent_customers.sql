-- core.absent_customers: customers that a snapshot no longer holds and that no order still needs: core drops them.
CREATE OR REPLACE FUNCTION core.absent_customers() RETURNS TABLE (customer_id bigint)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT kept.customer_id
    FROM core.customers AS kept
    LEFT JOIN staging.customers AS delivered ON kept.customer_id = delivered.customer_id
    LEFT JOIN staging.orders AS ordering ON kept.customer_id = ordering.customer_id AND ordering.reason IS NULL
    WHERE
        (SELECT audit.drops_absent_rows('customer_data'))
        AND delivered.customer_id IS NULL
        AND ordering.customer_id IS NULL
        -- An order already in core needs its customer unless this delivery moves or drops the order.
        AND NOT EXISTS (
            SELECT
            FROM core.orders
            LEFT JOIN staging.orders AS delivered
                ON orders.order_id = delivered.order_id AND delivered.reason IS NULL
            WHERE
                orders.customer_id = kept.customer_id
                AND delivered.order_id IS NULL
                AND orders.order_id NOT IN (SELECT absent.order_id FROM core.absent_orders() AS absent)
        )
$$;
COMMENT ON FUNCTION core.absent_customers() IS 'Customers that a snapshot no longer holds and that no order still needs: core drops them.';
