-- audit.pieces: what stands in a text between two delimiters, quotes or line ends.
CREATE OR REPLACE FUNCTION audit.pieces(line text, delimiter text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = ''
AS $$
    -- At the declared delimiter, and at those that a broken line may have instead.
    SELECT audit.bare(lower(piece.text))
    FROM regexp_split_to_table(replace(pieces.line, pieces.delimiter, E'\n'), '[,;|\t\r\n"]') AS piece (text);
$$;
COMMENT ON FUNCTION audit.pieces(text, text) IS 'What stands in a text between two delimiters (the one given, or a usual one), quotes or line ends: without outer blanks, in lower case.';
