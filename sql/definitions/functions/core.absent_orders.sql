-- core.absent_orders: orders that a snapshot no longer holds and that no payment still needs: core drops them.
CREATE OR REPLACE FUNCTION core.absent_orders() RETURNS TABLE (order_id bigint)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT kept.order_id
    FROM core.orders AS kept
    WHERE
        (SELECT audit.drops_absent_rows('order_data'))
        AND NOT EXISTS (
            SELECT FROM staging.orders AS delivered WHERE delivered.order_id = kept.order_id
        )
        AND NOT EXISTS (
            SELECT FROM staging.payments AS delivered
            WHERE delivered.order_id = kept.order_id AND delivered.reason IS NULL
        )
        -- A payment already in core needs its order unless this delivery replaces or drops the payment.
        AND NOT EXISTS (
            SELECT
            FROM core.payments
            WHERE
                payments.order_id = kept.order_id
                AND CASE
                    WHEN (SELECT audit.drops_absent_rows('payment_data')) THEN EXISTS (
                        SELECT FROM staging.payments AS delivered
                        WHERE delivered.payment_id = payments.payment_id AND delivered.reason IS NOT NULL
                    ) AND NOT EXISTS (
                        SELECT FROM staging.payments AS delivered
                        WHERE delivered.payment_id = payments.payment_id AND delivered.reason IS NULL
                    )
                    ELSE NOT EXISTS (
                        SELECT FROM staging.payments AS delivered
                        WHERE delivered.payment_id = payments.payment_id AND delivered.reason IS NULL
                    )
                END
        )
$$;
COMMENT ON FUNCTION core.absent_orders() IS 'Orders that a snapshot no longer holds and that no payment still needs: core drops them.';
