-- core.forget_customer: erase a person from every table; only the number is remembered, so that nobody comes back.
CREATE OR REPLACE FUNCTION core.forget_customer(customer_id bigint, unknown boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    id constant bigint := forget_customer.customer_id;
    email constant text := (SELECT customers.email FROM core.customers WHERE customers.customer_id = id);
    last_run audit.runs;
    is_known boolean;
    held record;
    lines bigint [];
    sure bigint [];
    unsure bigint [];
    withheld bigint;
    erased bigint;
    erased_amount numeric;
    erased_of jsonb := '{}';
BEGIN
    IF id IS NULL THEN
        RAISE EXCEPTION 'which customer? A number is needed';
    END IF;
    PERFORM audit.be_alone();
    -- Waits for tasks that still work, in a run that has failed too.
    SELECT runs.* INTO last_run FROM audit.runs ORDER BY runs.run_no DESC LIMIT 1 FOR UPDATE;
    IF last_run.state = 'open' THEN
        RAISE EXCEPTION 'a run is open: it may be copying what is to be forgotten'
            USING HINT = 'Wait until it has ended; if its process is dead, close it by hand: '
            || 'SELECT audit.fail_run(dag_run_id, ''by hand'', ''why'') FROM audit.runs WHERE state = ''open''';
    END IF;
    IF EXISTS (
        WITH left_behind AS MATERIALIZED (
            SELECT payments.order_id
            FROM core.stale_customers
            INNER JOIN core.payments ON stale_customers.customer_id = payments.customer_id
            WHERE stale_customers.lost_order
        )

        SELECT stale_customers.customer_id
        FROM core.stale_customers
        WHERE stale_customers.lost_order AND stale_customers.customer_id = id
        UNION ALL
        SELECT orders.customer_id
        FROM left_behind
        INNER JOIN core.orders ON left_behind.order_id = orders.order_id
        WHERE orders.customer_id = id
    ) THEN
        RAISE EXCEPTION 'payments of customer % have yet to follow their order, which has moved', id
            USING HINT = 'Let a run finish first.';
    END IF;
    SET LOCAL ltv.keeps_nothing = 'on';
    INSERT INTO core.forgotten_customers (customer_id)
    VALUES (id)
    ON CONFLICT ON CONSTRAINT forgotten_customers_pkey DO NOTHING;
    is_known := forget_customer.unknown OR NOT FOUND;

    -- The last delivery, as received and as typed, which may not have the number.
    FOR held IN
        SELECT
            sources.source,
            sources.delimiter,
            format('raw.%I', sources.source) AS received,
            to_regclass(format('staging.%I', sources.entity)) AS staged
        FROM audit.sources
        WHERE to_regclass(format('raw.%I', sources.source)) IS NOT NULL
    LOOP
        EXECUTE format(
            $sql$
            WITH gone AS (
                DELETE FROM %s AS held
                WHERE
                    audit.stands_for(held.customer_id, $1)
                    -- The text is looked at first: most lines have neither.
                    OR (
                        $4 = 'customer_data'
                        AND (strpos(held::text, $1::text) > 0 OR strpos(lower(held::text), $2) > 0)
                        AND audit.speaks_of(to_jsonb(held) - 'line_no', $3, $1, $2)
                    )
                    -- Of the others' lines with it, which were refused, audit.rejected_rows keeps what can be kept.
                    OR (
                        held::text ~ '[\n\r]'
                        AND strpos(audit.without_swallowed(to_jsonb(held), $3, ARRAY[$1], 'withheld: it')::text, 'withheld: it') > 0
                    )
                RETURNING held.line_no
            )

            SELECT array_agg(gone.line_no) FROM gone
            $sql$, held.received
        ) INTO lines USING id, email, held.delimiter, held.source;
        erased_of := erased_of || jsonb_build_object(held.received, coalesce(cardinality(lines), 0));
        IF held.staged IS NOT NULL THEN
            EXECUTE format('DELETE FROM %s AS held WHERE held.line_no = ANY ($1)', held.staged) USING lines;
        END IF;
    END LOOP;
    -- Every other table that has a column of that name.
    FOR held IN
        SELECT
            columns.attrelid::regclass::text AS name,
            CASE columns.attrelid
                WHEN 'core.orders'::regclass THEN 'sum(gone.price)'
                WHEN 'core.payments'::regclass THEN 'sum(gone.amount)'
                ELSE '0'
            END AS amount
        FROM pg_catalog.pg_attribute AS columns
        INNER JOIN pg_catalog.pg_class AS tables ON columns.attrelid = tables.oid
        WHERE
            columns.attname = 'customer_id'
            AND tables.relkind IN ('r', 'p')
            AND tables.relnamespace::regnamespace::text IN ('staging', 'core', 'intermediate', 'marts', 'forecast')
            AND tables.oid <> 'core.forgotten_customers'::regclass
        -- forecast.customer_forecast before its history: who publishes one holds it, and then appends to the other.
        ORDER BY name
    LOOP
        EXECUTE format(
            'WITH gone AS (DELETE FROM %s AS held WHERE held.customer_id = $1 RETURNING held.*) SELECT count(*), %s FROM gone',
            held.name, held.amount
        ) INTO erased, erased_amount USING id;
        erased_of := erased_of || jsonb_build_object(held.name, erased);
        -- A run that can begin again has noted what it found, and will compare.
        UPDATE audit.ledger
        SET
            rows_before = ledger.rows_before - erased,
            amount_before = ledger.amount_before - coalesce(erased_amount, 0)
        WHERE
            ledger.run_no = last_run.run_no
            AND last_run.state <> 'published'
            AND ledger.table_name = held.name;
    END LOOP;
    DELETE FROM audit.replaced_rows WHERE replaced_rows.replaced ->> 'customer_id' = id::text;
    GET DIAGNOSTICS erased = ROW_COUNT;
    erased_of := erased_of || jsonb_build_object('audit.replaced_rows', erased);
    SELECT
        array_agg(broken.rejected_row_id) FILTER (WHERE broken.is_certain),
        array_agg(broken.rejected_row_id) FILTER (WHERE broken.is_certain IS NOT TRUE)
    INTO sure, unsure
    FROM (
        SELECT
            rejected_rows.rejected_row_id,
            CASE
                -- Most lines have neither its digits nor a number written otherwise (3e2, 0x12): they stay whole.
                WHEN
                    strpos(regexp_replace(readable.line, '[^0-9]+', '', 'g'), id::text) > 0
                    OR readable.line ~* '[0-9][.]?[eobx]'
                    THEN (
                        SELECT bool_or(named.is_certain)
                        FROM audit.customers_named(
                            rejected_rows.line, rejected_rows.source, rejected_rows.header
                        ) AS named
                        WHERE named.customer_id = id
                    )
            END AS is_certain,
            rejected_rows.source = 'customer_data'
            AND strpos(lower(readable.line), email) > 0
            AND email IN (
                SELECT piece.text FROM audit.pieces(rejected_rows.line, sources.delimiter) AS piece (text)
            ) AS has_address
        FROM audit.rejected_rows
        INNER JOIN audit.sources ON rejected_rows.source = sources.source
        -- As audit.pieces reads it: bytes that were no text may stand in the middle of a number.
        CROSS JOIN LATERAL regexp_replace(rejected_rows.line, '\\x[0-9a-f]{2}', '', 'g') AS readable (line)
        WHERE rejected_rows.line IS NOT NULL
        -- a fence: each line is looked at once
        OFFSET 0
    ) AS broken
    WHERE broken.is_certain IS NOT NULL OR broken.has_address;
    -- What a person has corrected into such a row was the customer's under a number that was wrong.
    WITH RECURSIVE theirs AS (
        SELECT
            rejected_rows.rejected_row_id,
            rejected_rows.corrects_row_id
        FROM audit.rejected_rows
        INNER JOIN audit.sources ON rejected_rows.source = sources.source
        WHERE
            audit.stands_for(rejected_rows.fields ->> 'customer_id', id)
            OR rejected_rows.rejected_row_id = ANY (sure)
            OR (
                rejected_rows.source = 'customer_data'
                AND audit.speaks_of(rejected_rows.fields, sources.delimiter, id, email)
            )
        UNION
        SELECT
            corrected.rejected_row_id,
            corrected.corrects_row_id
        FROM theirs
        INNER JOIN audit.rejected_rows AS corrected ON theirs.corrects_row_id = corrected.rejected_row_id
    ),

    gone AS (
        DELETE FROM audit.rejected_rows
        USING theirs
        WHERE rejected_rows.rejected_row_id = theirs.rejected_row_id
        RETURNING rejected_rows.rejected_row_id
    )

    SELECT
        array_agg(-gone.rejected_row_id),
        count(*)
    INTO lines, erased
    FROM gone;
    -- Where nobody can say whose the number is, or whose the address, the text goes; that there was a line stays.
    UPDATE audit.rejected_rows
    SET line = format('withheld: row %s may speak of a customer who was erased', rejected_rows.rejected_row_id)
    WHERE rejected_rows.rejected_row_id = ANY (unsure);
    GET DIAGNOSTICS withheld = ROW_COUNT;
    erased := erased + withheld;
    -- Another's record that has swallowed the customer's line.
    UPDATE audit.rejected_rows
    SET fields = kept.fields
    FROM (
        SELECT
            swallowed.rejected_row_id,
            audit.without_swallowed(
                swallowed.fields, sources.delimiter, ARRAY[id],
                format('withheld: row %s may hold a line of a customer who was erased', swallowed.rejected_row_id)
            ) AS fields
        FROM audit.rejected_rows AS swallowed
        INNER JOIN audit.sources ON swallowed.source = sources.source
        WHERE swallowed.fields::text ~ '\\[nr]'
    ) AS kept
    WHERE
        rejected_rows.rejected_row_id = kept.rejected_row_id
        AND strpos(kept.fields::text, format('withheld: row %s may hold', rejected_rows.rejected_row_id)) > 0
        AND rejected_rows.fields <> kept.fields;
    GET DIAGNOSTICS withheld = ROW_COUNT;
    erased := erased + withheld;
    erased_of := erased_of || jsonb_build_object('audit.rejected_rows', erased);
    -- Those that waited stand in staging by their number.
    FOR held IN SELECT to_regclass(format('staging.%I', sources.entity)) AS staged FROM audit.sources LOOP
        IF held.staged IS NOT NULL THEN
            EXECUTE format('DELETE FROM %s AS held WHERE held.line_no = ANY ($1)', held.staged) USING lines;
        END IF;
    END LOOP;
    SET LOCAL ltv.keeps_nothing = '';
    IF NOT is_known AND NOT jsonb_path_exists(erased_of, '$.* ? (@ > 0)') THEN
        RAISE EXCEPTION 'no table knows a customer %', id
            USING HINT = 'To refuse the number in deliveries to come: core.forget_customer(…, unknown => true).';
    END IF;

    -- The statistics hold values too; those of a table that is empty now ANALYZE would leave.
    PERFORM
        pg_clear_attribute_stats(pg_stats.schemaname, pg_stats.tablename, pg_stats.attname, pg_stats.inherited)
    FROM pg_catalog.pg_stats
    WHERE erased_of ? format('%I.%I', pg_stats.schemaname, pg_stats.tablename);
    FOR held IN SELECT jsonb_object_keys(erased_of) AS name LOOP
        EXECUTE format('ANALYZE %s', held.name);
    END LOOP;
    RETURN regexp_replace(
        format(
            'customer %s: %s orders, %s payments, %s rejected lines',
            id, erased_of ->> 'core.orders', erased_of ->> 'core.payments', erased_of ->> 'audit.rejected_rows'
        ),
        ' 1 ([a-z ]+)s', ' 1 \1', 'g'
    );
END $$;
COMMENT ON FUNCTION core.forget_customer(bigint, boolean) IS 'Erase a person from every table, and say what was erased; only the number is remembered, so that a later delivery does not bring the person back. Refused where no table knows the number, unless that is said.';
