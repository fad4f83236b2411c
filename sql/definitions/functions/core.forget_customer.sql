-- core.forget_customer: erase a person from every table; only the number is remembered, so that nobody comes back.
CREATE OR REPLACE FUNCTION core.forget_customer(customer_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    known constant text := forget_customer.customer_id::text;
    email constant text := (
        SELECT customers.email FROM core.customers WHERE customers.customer_id = forget_customer.customer_id
    );
    held regclass;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit.begin_run', 0));
    IF EXISTS (SELECT FROM audit.runs WHERE runs.state = 'open') THEN
        RAISE EXCEPTION 'a run is open: it may be copying what is to be forgotten'
            USING HINT = 'Wait until it has ended.';
    END IF;
    INSERT INTO core.forgotten_customers (customer_id)
    VALUES (forget_customer.customer_id)
    ON CONFLICT ON CONSTRAINT forgotten_customers_pkey DO NOTHING;

    PERFORM set_config('ltv.keeps_nothing', 'on', true);
    -- Every table that has a column of that name: what core, marts and the last delivery hold of the person.
    FOR held IN
        SELECT columns.attrelid::regclass
        FROM pg_catalog.pg_attribute AS columns
        INNER JOIN pg_catalog.pg_class AS tables ON columns.attrelid = tables.oid
        WHERE
            columns.attname = 'customer_id'
            AND tables.relkind IN ('r', 'p')
            AND tables.relnamespace::regnamespace::text IN ('raw', 'staging', 'core', 'intermediate', 'marts')
            AND tables.oid <> 'core.forgotten_customers'::regclass
    LOOP
        EXECUTE format('DELETE FROM %s AS held WHERE btrim(held.customer_id::text) = $1', held) USING known;
    END LOOP;
    DELETE FROM audit.replaced_rows WHERE replaced_rows.replaced ->> 'customer_id' = known;
    DELETE FROM audit.rejected_rows
    WHERE
        btrim(rejected_rows.fields ->> 'customer_id') = known
        OR strpos(lower(rejected_rows.fields::text), email) > 0
        OR strpos(lower(rejected_rows.line), email) > 0
        OR audit.has_field(rejected_rows.line, known);
    PERFORM set_config('ltv.keeps_nothing', '', true);
END $$;
COMMENT ON FUNCTION core.forget_customer(bigint) IS 'Erase a person from every table; only the number is remembered, so that a later delivery does not bring the person back.';
