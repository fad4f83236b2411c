-- core.absent_payments: as in sql/definitions: what is not delivered for its customer is looked for on the workers, and
-- whether it is delivered at all, here.
CREATE OR REPLACE FUNCTION core.absent_payments() RETURNS TABLE (payment_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    suspects bigint [];
BEGIN
    IF NOT audit.drops_absent_rows('payment_data') THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_payments (payment_id, customer_id)
    SELECT
        payments.payment_id,
        payments.customer_id
    FROM staging.payments
    WHERE payments.payment_id IS NOT NULL AND payments.customer_id IS NOT NULL;
    SELECT array_agg(kept.payment_id) INTO suspects
    FROM core.payments AS kept
    LEFT JOIN core.delivered_payments AS delivered
        ON kept.payment_id = delivered.payment_id AND kept.customer_id = delivered.customer_id
    WHERE delivered.payment_id IS NULL;
    DELETE FROM core.delivered_payments;
    -- Moved to another customer, or refused.
    RETURN QUERY
    SELECT suspect.payment_id
    FROM unnest(suspects) AS suspect (payment_id)
    LEFT JOIN staging.payments AS delivered ON suspect.payment_id = delivered.payment_id
    WHERE delivered.payment_id IS NULL;
END $$;
