-- audit.readers_see: what analysts find in marts now, as half a sentence.
CREATE OR REPLACE FUNCTION audit.readers_see() RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(
    (SELECT format('readers see the numbers as of %s', freshness.as_of) FROM marts.freshness),
    'nothing has been published yet'
);
COMMENT ON FUNCTION audit.readers_see() IS 'What analysts find in marts now, as half a sentence.';
