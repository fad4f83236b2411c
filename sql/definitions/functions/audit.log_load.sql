-- audit.log_load: note a file that was copied into raw, in the transaction of the COPY.
CREATE OR REPLACE FUNCTION audit.log_load(
    source text, file text, bytes bigint, sha256 text, first_line_no bigint, records bigint,
    extra_columns text[], seconds double precision, loaded bigint DEFAULT NULL
) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    INSERT INTO audit.loads (
        run_no, source, file, bytes, sha256, first_line_no, records, loaded, extra_columns, seconds, declared, kind
    ) VALUES (
        audit.run_no(), log_load.source, log_load.file, log_load.bytes, log_load.sha256, log_load.first_line_no,
        log_load.records, coalesce(log_load.loaded, log_load.records), log_load.extra_columns, log_load.seconds,
        (SELECT md5(sources::text) FROM audit.sources WHERE sources.source = log_load.source),
        (SELECT sources.kind FROM audit.sources WHERE sources.source = log_load.source)
    );
$$;
COMMENT ON FUNCTION audit.log_load(text, text, bigint, text, bigint, bigint, text[], double precision, bigint) IS 'Note a file that was copied into raw, in the transaction of the COPY.';
