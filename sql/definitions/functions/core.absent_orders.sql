-- core.absent_orders: orders that a snapshot no longer holds and that no payment still needs: core drops them.
CREATE OR REPLACE FUNCTION core.absent_orders() RETURNS TABLE (order_id bigint)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    -- Payments already in core that this delivery neither replaces nor drops need their order. Read as a whole, once:
    -- asked for one by one they cost the product of both tables.
    WITH refused AS MATERIALIZED (
        -- A snapshot drops no payment whose line was refused.
        SELECT DISTINCT delivered.payment_id
        FROM staging.payments AS delivered
        WHERE
            (SELECT audit.drops_absent_rows('order_data'))
            AND (SELECT audit.drops_absent_rows('payment_data'))
            AND delivered.reason IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM staging.payments AS good
                WHERE good.payment_id = delivered.payment_id AND good.reason IS NULL
            )
    ),

    staying AS MATERIALIZED (
        SELECT payments.order_id
        FROM core.payments
        INNER JOIN refused ON payments.payment_id = refused.payment_id
        UNION ALL
        SELECT payments.order_id
        FROM core.payments
        LEFT JOIN staging.payments AS delivered
            ON payments.payment_id = delivered.payment_id AND delivered.reason IS NULL
        WHERE
            (SELECT audit.drops_absent_rows('order_data'))
            AND NOT (SELECT audit.drops_absent_rows('payment_data'))
            AND delivered.payment_id IS NULL
    )

    SELECT kept.order_id
    FROM core.orders AS kept
    LEFT JOIN staging.orders AS delivered ON kept.order_id = delivered.order_id
    LEFT JOIN staging.payments AS paying ON kept.order_id = paying.order_id AND paying.reason IS NULL
    WHERE
        (SELECT audit.drops_absent_rows('order_data'))
        AND delivered.order_id IS NULL
        AND paying.order_id IS NULL
        AND NOT EXISTS (
            SELECT FROM staying WHERE staying.order_id = kept.order_id
        )
$$;
COMMENT ON FUNCTION core.absent_orders() IS 'Orders that a snapshot no longer holds and that no payment still needs: core drops them.';
