-- core.absent_customers: customers that a snapshot no longer holds and that no order still needs: core drops them.
CREATE OR REPLACE FUNCTION core.absent_customers() RETURNS TABLE (customer_id bigint)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT kept.customer_id
    FROM core.customers AS kept
    WHERE
        (SELECT audit.drops_absent_rows('customer_data'))
        AND NOT EXISTS (
            SELECT FROM staging.customers AS delivered WHERE delivered.customer_id = kept.customer_id
        )
        AND NOT EXISTS (
            SELECT FROM staging.orders AS delivered
            WHERE delivered.customer_id = kept.customer_id AND delivered.reason IS NULL
        )
        -- An order already in core needs its customer unless this delivery moves or drops the order.
        AND NOT EXISTS (
            SELECT
            FROM core.orders
            WHERE
                orders.customer_id = kept.customer_id
                AND NOT EXISTS (
                    SELECT FROM staging.orders AS delivered
                    WHERE delivered.order_id = orders.order_id AND delivered.reason IS NULL
                )
                AND orders.order_id NOT IN (SELECT absent.order_id FROM core.absent_orders() AS absent)
        )
$$;
COMMENT ON FUNCTION core.absent_customers() IS 'Customers that a snapshot no longer holds and that no order still needs: core drops them.';
