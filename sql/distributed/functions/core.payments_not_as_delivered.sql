-- core.payments_not_as_delivered: as in sql/definitions: each line is held against core on its customer's worker.
CREATE OR REPLACE FUNCTION core.payments_not_as_delivered() RETURNS TABLE (payment_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO core.delivered_payments (
        payment_id, customer_id, order_id, payment_date, amount
    )
    SELECT
        payments.payment_id,
        payments.customer_id,
        payments.order_id,
        payments.payment_date,
        payments.amount
    FROM staging.payments
    WHERE payments.reason IS NULL;
    RETURN QUERY
    SELECT delivered.payment_id
    FROM core.delivered_payments AS delivered
    LEFT JOIN core.payments AS kept ON delivered.payment_id = kept.payment_id AND delivered.customer_id = kept.customer_id
    WHERE (
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
    );
    DELETE FROM core.delivered_payments;
END $$;
