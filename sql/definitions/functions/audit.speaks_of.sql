-- audit.speaks_of: whether a line of customers has a customer's number in a field, or the address and no other number.
CREATE OR REPLACE FUNCTION audit.speaks_of(
    fields jsonb, delimiter text, customer_id bigint, email text
) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT EXISTS (
        SELECT
        FROM jsonb_each_text(speaks_of.fields) AS field
        CROSS JOIN LATERAL audit.pieces(field.value, speaks_of.delimiter) AS piece
        WHERE
            audit.number_of(piece) = speaks_of.customer_id
            -- An address can be shared.
            OR (piece = speaks_of.email AND audit.number_of(speaks_of.fields ->> 'customer_id') IS NULL)
    );
$$;
COMMENT ON FUNCTION audit.speaks_of(jsonb, text, bigint, text) IS 'Whether a line of customers has a customer''s number in a field, or the address where it is no record of somebody else''s.';
