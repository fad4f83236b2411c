-- core.payments_not_as_delivered: good lines of the delivery that do not stand in core as delivered.
-- Inlined, and so without a path of its own: staging is made anew each night, which no bound function outlives.
CREATE OR REPLACE FUNCTION core.payments_not_as_delivered() RETURNS TABLE (payment_id bigint)
LANGUAGE sql STABLE
AS $$
    SELECT delivered.payment_id
    FROM staging.payments AS delivered
    LEFT JOIN core.payments AS kept ON delivered.payment_id = kept.payment_id
    WHERE
        delivered.reason IS NULL
        AND (
            kept.payment_id,
            kept.customer_id,
            kept.order_id,
            kept.payment_date,
            kept.amount
        ) IS DISTINCT FROM (
            delivered.payment_id,
            delivered.customer_id,
            delivered.order_id,
            delivered.payment_date,
            delivered.amount
        )
$$;
COMMENT ON FUNCTION core.payments_not_as_delivered() IS 'Good lines of the delivery that do not stand in core.payments as delivered.';
