-- core.known_orders: as in sql/definitions, but only those that the lines of the source name: asked of their
-- customer's worker, and by the number alone of every worker what is not there.
CREATE OR REPLACE FUNCTION core.known_orders(source text) RETURNS TABLE (
    order_id bigint,
    customer_id bigint,
    order_date date,
    product text,
    price numeric(14, 2)
)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT orders.order_id FROM core.orders LIMIT 1) THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_orders (order_id, customer_id)
    SELECT
        named.number AS order_id,
        named.customer_id
    FROM audit.numbers_named(known_orders.source, 'order_id') AS named
    WHERE named.number IS NOT NULL AND named.customer_id IS NOT NULL;
    RETURN QUERY
    SELECT
        kept.order_id,
        kept.customer_id,
        kept.order_date,
        kept.product,
        kept.price
    FROM core.orders AS kept
    WHERE EXISTS (
        SELECT delivered.order_id
        FROM core.delivered_orders AS delivered
        WHERE delivered.order_id = kept.order_id AND delivered.customer_id = kept.customer_id
    );
    -- New, or moving from another customer.
    RETURN QUERY
    WITH elsewhere AS MATERIALIZED (
        SELECT DISTINCT delivered.order_id
        FROM core.delivered_orders AS delivered
        LEFT JOIN core.orders AS kept
            ON delivered.order_id = kept.order_id AND delivered.customer_id = kept.customer_id
        WHERE kept.order_id IS NULL
    )

    SELECT
        kept.order_id,
        kept.customer_id,
        kept.order_date,
        kept.product,
        kept.price
    FROM core.orders AS kept
    INNER JOIN elsewhere ON kept.order_id = elsewhere.order_id
    -- A number that is delivered twice, for two customers, may have been found above.
    LEFT JOIN core.delivered_orders AS delivered
        ON kept.order_id = delivered.order_id AND kept.customer_id = delivered.customer_id
    WHERE delivered.order_id IS NULL;
    DELETE FROM core.delivered_orders;
END $$;
