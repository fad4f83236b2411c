-- core.absent_payments: payments that a snapshot no longer holds: core drops them.
CREATE OR REPLACE FUNCTION core.absent_payments() RETURNS TABLE (payment_id bigint)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT kept.payment_id
    FROM core.payments AS kept
    LEFT JOIN staging.payments AS delivered ON kept.payment_id = delivered.payment_id
    WHERE
        (SELECT audit.drops_absent_rows('payment_data'))
        AND delivered.payment_id IS NULL
$$;
COMMENT ON FUNCTION core.absent_payments() IS 'Payments that a snapshot no longer holds: core drops them.';
