-- audit.without_example: a check's sentence as it may leave the house: without the row that it quotes, and who signed.
CREATE OR REPLACE FUNCTION audit.without_example(said text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN split_part(split_part(said, ', e.g. ', 1), ' (until ', 1);
COMMENT ON FUNCTION audit.without_example(text) IS 'A check''s sentence without its example, which may be a customer''s number, and without whoever has signed for it.';
