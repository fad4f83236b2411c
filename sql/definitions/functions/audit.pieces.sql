-- audit.pieces: what stands in a text between two delimiters, quotes or line ends.
CREATE OR REPLACE FUNCTION audit.pieces(line text, delimiter text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- At the declared delimiter, and at those that a broken line may have instead.
    SELECT audit.bare(lower(piece.text))
    FROM regexp_split_to_table(
        -- Bytes that were no text, as Record.as_text writes them, may stand in the middle of a number.
        replace(regexp_replace(pieces.line, '\\x[0-9a-f]{2}', '', 'g'), pieces.delimiter, E'\n'),
        '[,;|\t\r\n"]'
    ) AS piece (text);
$$;
COMMENT ON FUNCTION audit.pieces(text, text) IS 'What stands in a text between two delimiters (the one given, or a usual one), quotes or line ends: without outer blanks and bytes that are no text, in lower case.';
