-- audit.open_load: what a COPY has to know of its source; forgets what an earlier try of this run has noted.
CREATE OR REPLACE FUNCTION audit.open_load(source text) RETURNS TABLE (
    as_of date, columns text[], encoding text, delimiter text
)
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    DELETE FROM audit.loads WHERE loads.run_no = audit.run_no() AND loads.source = open_load.source;
    SELECT audit.as_of() AS as_of, sources.columns, sources.encoding, sources.delimiter
    FROM audit.sources
    WHERE sources.source = open_load.source;
$$;
COMMENT ON FUNCTION audit.open_load(text) IS 'What a COPY has to know of its source; forgets what an earlier try of this run has noted.';
