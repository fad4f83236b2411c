-- audit.customers_named: the numbers in a broken line that may be its customer's.
CREATE OR REPLACE FUNCTION audit.customers_named(line text, source text) RETURNS SETOF bigint
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    -- A customer's own line may have it anywhere; elsewhere another number may be an order's or a price.
    SELECT audit.number_of(piece.text)
    FROM audit.sources
    CROSS JOIN LATERAL audit.pieces(customers_named.line, sources.delimiter) WITH ORDINALITY AS piece (text, position)
    WHERE
        sources.source = customers_named.source
        AND (sources.source = 'customer_data' OR piece.position = array_position(sources.columns, 'customer_id'))
        AND audit.number_of(piece.text) IS NOT NULL
$$;
COMMENT ON FUNCTION audit.customers_named(text, text) IS 'The numbers in a broken line that may be its customer''s: of a line of customers every number, of another the one where customer_id is declared to stand.';
