-- core.absent_orders: as in sql/definitions: what is not delivered for its customer is looked for on the workers, and
-- whether it is delivered or needed at all, here.
CREATE OR REPLACE FUNCTION core.absent_orders() RETURNS TABLE (order_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    suspects bigint [];
    paying bigint [];
    paid bigint [];
BEGIN
    IF NOT audit.drops_absent_rows('order_data') THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_orders (order_id, customer_id)
    SELECT
        orders.order_id,
        orders.customer_id
    FROM staging.orders
    WHERE orders.order_id IS NOT NULL AND orders.customer_id IS NOT NULL;
    SELECT array_agg(kept.order_id) INTO suspects
    FROM core.orders AS kept
    LEFT JOIN core.delivered_orders AS delivered
        ON kept.order_id = delivered.order_id AND kept.customer_id = delivered.customer_id
    WHERE delivered.order_id IS NULL;
    DELETE FROM core.delivered_orders;
    -- Moved to another customer, or refused, or paid for by this delivery.
    SELECT array_agg(suspect.order_id) INTO suspects
    FROM unnest(suspects) AS suspect (order_id)
    LEFT JOIN staging.orders AS delivered ON suspect.order_id = delivered.order_id
    LEFT JOIN staging.payments AS paying ON suspect.order_id = paying.order_id AND paying.reason IS NULL
    WHERE delivered.order_id IS NULL AND paying.order_id IS NULL;
    -- Payments already in core that this delivery neither replaces nor drops need their order. By its number alone: they
    -- may have yet to follow it to another customer.
    SELECT
        array_agg(payments.payment_id),
        array_agg(payments.order_id)
    INTO paying, paid
    FROM core.payments
    WHERE payments.order_id = ANY (suspects);
    RETURN QUERY
    SELECT suspect.order_id
    FROM unnest(suspects) AS suspect (order_id)
    WHERE NOT EXISTS (
        SELECT
        FROM unnest(paying, paid) AS staying (payment_id, order_id)
        LEFT JOIN staging.payments AS good ON staying.payment_id = good.payment_id AND good.reason IS NULL
        LEFT JOIN staging.payments AS refused ON staying.payment_id = refused.payment_id
        WHERE
            staying.order_id = suspect.order_id
            AND good.payment_id IS NULL
            -- A snapshot drops no payment whose line was refused.
            AND (refused.payment_id IS NOT NULL OR NOT audit.drops_absent_rows('payment_data'))
    );
END $$;
