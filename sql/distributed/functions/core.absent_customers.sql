-- core.absent_customers: as in sql/definitions: who is not delivered is looked for on the workers, and whether an order
-- needs them, here.
CREATE OR REPLACE FUNCTION core.absent_customers() RETURNS TABLE (customer_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    suspects bigint [];
    needed bigint [];
    needing bigint [];
BEGIN
    IF NOT audit.drops_absent_rows('customer_data') THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_customers (customer_id)
    SELECT customers.customer_id
    FROM staging.customers
    WHERE customers.customer_id IS NOT NULL;
    SELECT array_agg(kept.customer_id) INTO suspects
    FROM core.customers AS kept
    LEFT JOIN core.delivered_customers AS delivered ON kept.customer_id = delivered.customer_id
    WHERE delivered.customer_id IS NULL;
    DELETE FROM core.delivered_customers;
    SELECT array_agg(suspect.customer_id) INTO suspects
    FROM unnest(suspects) AS suspect (customer_id)
    LEFT JOIN staging.orders AS ordering
        ON suspect.customer_id = ordering.customer_id AND ordering.reason IS NULL
    WHERE ordering.customer_id IS NULL;
    SELECT
        array_agg(orders.customer_id),
        array_agg(orders.order_id)
    INTO needed, needing
    FROM core.orders
    WHERE orders.customer_id = ANY (suspects);
    RETURN QUERY
    SELECT suspect.customer_id
    FROM unnest(suspects) AS suspect (customer_id)
    -- An order already in core needs its customer unless this delivery moves or drops the order.
    WHERE suspect.customer_id NOT IN (
        SELECT staying.customer_id
        FROM unnest(needed, needing) AS staying (customer_id, order_id)
        LEFT JOIN staging.orders AS delivered ON staying.order_id = delivered.order_id AND delivered.reason IS NULL
        LEFT JOIN core.absent_orders() AS absent ON staying.order_id = absent.order_id
        WHERE delivered.order_id IS NULL AND absent.order_id IS NULL
    );
END $$;
