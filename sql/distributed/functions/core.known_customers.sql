-- core.known_customers: as in sql/definitions, but only those that the lines of the source name: asked of their
-- workers.
CREATE OR REPLACE FUNCTION core.known_customers(source text) RETURNS TABLE (customer_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT customers.customer_id FROM core.customers LIMIT 1) THEN
        RETURN;
    END IF;
    INSERT INTO core.delivered_customers (customer_id)
    SELECT DISTINCT named.customer_id
    FROM audit.numbers_named(known_customers.source, 'customer_id') AS named
    WHERE named.customer_id IS NOT NULL;
    RETURN QUERY
    SELECT customers.customer_id
    FROM core.customers
    INNER JOIN core.delivered_customers ON customers.customer_id = delivered_customers.customer_id;
    DELETE FROM core.delivered_customers;
END $$;
