-- audit.without_swallowed: a row's fields, but for those that have swallowed a line of one of some customers.
CREATE OR REPLACE FUNCTION audit.without_swallowed(
    fields jsonb, delimiter text, customer_ids bigint[], instead text
) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT
        jsonb_object_agg(
            field.key,
            CASE
                WHEN
                    field.value ~ '[\n\r]'
                    AND EXISTS (
                        SELECT FROM audit.pieces(field.value, without_swallowed.delimiter) AS piece (text)
                        WHERE audit.number_of(piece.text) = ANY (without_swallowed.customer_ids)
                    )
                    THEN without_swallowed.instead
                ELSE field.value
            END
        )
    FROM jsonb_each_text(without_swallowed.fields) AS field
$$;
COMMENT ON FUNCTION audit.without_swallowed(jsonb, text, bigint[], text) IS 'The fields of a row, with a given text in the place of those that hold a line break and the number of one of the customers: a stray quote made one field of several lines.';
