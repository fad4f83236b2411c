-- audit.numbers_named: the numbers that the lines of a source name, in raw or waiting, as staging will read them.
CREATE OR REPLACE FUNCTION audit.numbers_named(source text, name text) RETURNS TABLE (number bigint, customer_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        $sql$
        SELECT
            audit.to_id(received.number, unknown.tokens, unknown.numerals) AS number,
            audit.to_id(received.customer_id, unknown.tokens, unknown.numerals) AS customer_id
        FROM (
            SELECT %1$I.%2$I AS number, %1$I.customer_id FROM raw.%1$I
            UNION ALL
            SELECT waiting_rows.fields ->> $2 AS number, waiting_rows.fields ->> 'customer_id' AS customer_id
            FROM audit.waiting_rows
            WHERE waiting_rows.source = $1
        ) AS received
        CROSS JOIN audit.unknown_values($1) AS unknown
        $sql$, numbers_named.source, numbers_named.name
    ) USING numbers_named.source, numbers_named.name;
END $$;
COMMENT ON FUNCTION audit.numbers_named(text, text) IS 'The numbers in a column of a source''s lines, in raw or waiting, as staging will read them, each with the customer whose line it is. Either is NULL where it is none.';
