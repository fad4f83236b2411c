-- audit.speaks_of: whether a record of customers has a customer's number, or none of its own and that or the address.
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
            -- With a number of its own it is somebody else's: what it holds may be a household's, an address shared.
            coalesce(audit.number_of(speaks_of.fields ->> 'customer_id'), speaks_of.customer_id) = speaks_of.customer_id
            AND (audit.number_of(piece) = speaks_of.customer_id OR piece = speaks_of.email)
    );
$$;
COMMENT ON FUNCTION audit.speaks_of(jsonb, text, bigint, text) IS 'Whether a record of customers has a customer''s number, or none of its own and that number or the address in a field.';
