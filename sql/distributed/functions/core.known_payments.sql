-- core.known_payments: as in sql/definitions, but only those that the lines of the source name: asked of their
-- customer's worker, and by the number alone of every worker what is not there.
CREATE OR REPLACE FUNCTION core.known_payments(source text) RETURNS TABLE (
    payment_id bigint,
    customer_id bigint,
    order_id bigint,
    payment_date date,
    amount numeric(14, 2)
)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT payments.payment_id FROM core.payments LIMIT 1) THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_payments (payment_id, customer_id)
    SELECT
        named.number AS payment_id,
        named.customer_id
    FROM audit.numbers_named(known_payments.source, 'payment_id') AS named
    WHERE named.number IS NOT NULL AND named.customer_id IS NOT NULL;
    RETURN QUERY
    SELECT
        kept.payment_id,
        kept.customer_id,
        kept.order_id,
        kept.payment_date,
        kept.amount
    FROM core.payments AS kept
    WHERE EXISTS (
        SELECT delivered.payment_id
        FROM core.delivered_payments AS delivered
        WHERE delivered.payment_id = kept.payment_id AND delivered.customer_id = kept.customer_id
    );
    -- New, or moving from another customer.
    RETURN QUERY
    WITH elsewhere AS MATERIALIZED (
        SELECT DISTINCT delivered.payment_id
        FROM core.delivered_payments AS delivered
        LEFT JOIN core.payments AS kept
            ON delivered.payment_id = kept.payment_id AND delivered.customer_id = kept.customer_id
        WHERE kept.payment_id IS NULL
    )

    SELECT
        kept.payment_id,
        kept.customer_id,
        kept.order_id,
        kept.payment_date,
        kept.amount
    FROM core.payments AS kept
    INNER JOIN elsewhere ON kept.payment_id = elsewhere.payment_id
    -- A number that is delivered twice, for two customers, may have been found above.
    LEFT JOIN core.delivered_payments AS delivered
        ON kept.payment_id = delivered.payment_id AND kept.customer_id = delivered.customer_id
    WHERE delivered.payment_id IS NULL;
    DELETE FROM core.delivered_payments;
END $$;
