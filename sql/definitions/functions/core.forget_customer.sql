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
    -- Waits for tasks that still work, in a run that has failed too.
    PERFORM FROM audit.runs WHERE runs.run_no = (SELECT max(last_run.run_no) FROM audit.runs AS last_run) FOR UPDATE;
    IF EXISTS (SELECT FROM audit.runs WHERE runs.state = 'open') THEN
        RAISE EXCEPTION 'a run is open: it may be copying what is to be forgotten'
            USING HINT = 'Wait until it has ended; if its process is dead, close it by hand: '
            || 'SELECT audit.fail_run(dag_run_id, ''by hand'', ''why'') FROM audit.runs WHERE state = ''open''';
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
        EXECUTE format($sql$DELETE FROM %s AS held WHERE audit.cleaned(held.customer_id::text, '{}') = $1$sql$, held)
        USING known;
        -- The statistics hold values too.
        EXECUTE format('ANALYZE %s', held);
    END LOOP;
    DELETE FROM audit.replaced_rows WHERE replaced_rows.replaced ->> 'customer_id' = known;
    -- Whatever line of customers has the number or the address in a field; of the others, those with the number in
    -- its column: where else a line of orders has it, it may be a price.
    DELETE FROM audit.rejected_rows
    WHERE
        audit.cleaned(rejected_rows.fields ->> 'customer_id', '{}') = known
        OR (
            rejected_rows.source = 'customer_data'
            AND (
                audit.has_field(rejected_rows.line, known)
                OR audit.has_field(rejected_rows.line, email)
                OR EXISTS (
                    SELECT FROM jsonb_each_text(rejected_rows.fields) AS field
                    WHERE audit.has_field(field.value, known) OR audit.has_field(field.value, email)
                )
            )
        );
    PERFORM set_config('ltv.keeps_nothing', '', true);
END $$;
COMMENT ON FUNCTION core.forget_customer(bigint) IS 'Erase a person from every table; only the number is remembered, so that a later delivery does not bring the person back.';
