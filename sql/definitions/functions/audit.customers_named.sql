-- audit.customers_named: the numbers in a broken line that may be its customer's.
CREATE OR REPLACE FUNCTION audit.customers_named(
    line text, source text, header text[]
) RETURNS TABLE (customer_id numeric, is_certain boolean)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT
        audit.number_of(piece.text),
        sources.source = 'customer_data' OR piece.position = columns.position
    FROM audit.sources
    CROSS JOIN LATERAL (
        -- A quoted field is one piece; what it holds beyond that shifts those behind it.
        SELECT array_agg(pieces.text) AS texts
        FROM audit.pieces(replace(customers_named.line, '"', ''), sources.delimiter) AS pieces (text)
    ) AS split
    CROSS JOIN LATERAL (
        SELECT
            array_position(coalesce(customers_named.header, sources.columns), 'customer_id') AS position,
            cardinality(split.texts) - cardinality(coalesce(customers_named.header, sources.columns)) AS shift
    ) AS columns
    CROSS JOIN LATERAL unnest(split.texts) WITH ORDINALITY AS piece (text, position)
    WHERE
        sources.source = customers_named.source
        AND (
            -- A customer's own line may have it anywhere.
            sources.source = 'customer_data'
            -- Elsewhere another number may be an order's or a price: as far as fields are missing, or too many, it is off.
            OR piece.position BETWEEN
            columns.position + least(columns.shift, 0) AND columns.position + greatest(columns.shift, 0)
        )
        AND audit.number_of(piece.text) IS NOT NULL
$$;
COMMENT ON FUNCTION audit.customers_named(text, text, text[]) IS 'The numbers in a broken line that may be its customer''s: of a line of customers every number; of another the one that stands where its file has customer_id and, where the line has more or fewer fields than its file''s header, those that may have been shifted from there (not is_certain).';
