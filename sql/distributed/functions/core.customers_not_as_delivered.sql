-- core.customers_not_as_delivered: as in sql/definitions: each line is held against core on its customer's worker.
CREATE OR REPLACE FUNCTION core.customers_not_as_delivered() RETURNS TABLE (customer_id bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO core.delivered_customers (
        customer_id, first_name, last_name, email, country, gender, date_of_birth
    )
    SELECT
        customers.customer_id,
        customers.first_name,
        customers.last_name,
        customers.email,
        customers.country,
        customers.gender,
        customers.date_of_birth
    FROM staging.customers
    WHERE customers.reason IS NULL;
    RETURN QUERY
    SELECT delivered.customer_id
    FROM core.delivered_customers AS delivered
    LEFT JOIN core.customers AS kept ON delivered.customer_id = kept.customer_id
    WHERE (
        kept.customer_id,
        kept.first_name,
        kept.last_name,
        kept.email,
        kept.country,
        kept.gender,
        kept.date_of_birth
    ) IS DISTINCT FROM (
        delivered.customer_id,
        delivered.first_name,
        delivered.last_name,
        delivered.email,
        delivered.country,
        delivered.gender,
        delivered.date_of_birth
    );
    DELETE FROM core.delivered_customers;
END $$;
