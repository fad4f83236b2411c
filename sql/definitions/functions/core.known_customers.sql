-- core.known_customers: the customers that core has, for a delivery that names some of them.
-- Inlined: on one server it is the table itself. sql/distributed asks the workers for those alone that the lines of the
-- source name.
CREATE OR REPLACE FUNCTION core.known_customers(source text) RETURNS TABLE (customer_id bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT customers.customer_id FROM core.customers;
END;
COMMENT ON FUNCTION core.known_customers(text) IS 'The customers that core has, at least those that the lines of a source (order_data) name, in raw or waiting.';
