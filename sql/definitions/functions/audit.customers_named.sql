-- audit.customers_named: the numbers in a broken line that may be its customer's.
CREATE OR REPLACE FUNCTION audit.customers_named(
    line text, source text, header text[]
) RETURNS TABLE (customer_id numeric, is_certain boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        audit.number_of(piece.text),
        fields.shift = 0 AND field.position = fields.position AND audit.number_of(field.text) IS NOT NULL
    FROM audit.sources
    CROSS JOIN LATERAL (
        SELECT
            split.texts,
            array_position(coalesce(customers_named.header, sources.columns), 'customer_id') AS position,
            cardinality(split.texts) - cardinality(coalesce(customers_named.header, sources.columns)) AS shift
        FROM (SELECT audit.fields_of(customers_named.line, sources.delimiter) AS texts) AS split
    ) AS fields
    CROSS JOIN LATERAL unnest(fields.texts) WITH ORDINALITY AS field (text, position)
    -- Behind another delimiter than the declared one, or a stray quote, it stands within a field.
    CROSS JOIN LATERAL audit.pieces(field.text, sources.delimiter) AS piece (text)
    WHERE
        sources.source = customers_named.source
        AND CASE
            -- It has swallowed other lines.
            WHEN field.text ~ '[\n\r]' THEN true
            WHEN fields.shift = 0 THEN field.position = fields.position
            -- Where fields are missing, or too many, a customer's own line may have it anywhere.
            WHEN sources.source = 'customer_data' THEN true
            -- Elsewhere another number may be an order's or a price: it is off by no more than that.
            ELSE field.position BETWEEN
                fields.position + least(fields.shift, 0) AND fields.position + greatest(fields.shift, 0)
        END
        AND audit.number_of(piece.text) IS NOT NULL
$$;
COMMENT ON FUNCTION audit.customers_named(text, text, text[]) IS 'The numbers in a broken line that may be its customer''s: of a line that has as many fields as its file''s header the one that stands where the header has customer_id, for certain; of another those that may have been shifted from there, and of a line of customers every one; and whatever a field holds that has swallowed other lines.';
