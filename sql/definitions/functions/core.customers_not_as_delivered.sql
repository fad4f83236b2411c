-- core.customers_not_as_delivered: good lines of the delivery that do not stand in core as delivered.
-- Inlined, and so without a path of its own: staging is made anew each night, which no bound function outlives.
CREATE OR REPLACE FUNCTION core.customers_not_as_delivered() RETURNS TABLE (customer_id bigint)
LANGUAGE sql STABLE
AS $$
    SELECT delivered.customer_id
    FROM staging.customers AS delivered
    LEFT JOIN core.customers AS kept ON delivered.customer_id = kept.customer_id
    WHERE
        delivered.reason IS NULL
        AND (
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
        )
$$;
COMMENT ON FUNCTION core.customers_not_as_delivered() IS 'Good lines of the delivery that do not stand in core.customers as delivered.';
