-- audit.keep_replaced: keep the rows of core that a run changes or removes, as they were, so that it can be undone.
CREATE OR REPLACE FUNCTION audit.keep_replaced() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    IF current_setting('ltv.keeps_nothing', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit.replaced_rows (run_no, table_name, key, replaced)
    SELECT
        (SELECT audit.run_no()),
        TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME,
        (kept.replaced ->> TG_ARGV[0])::bigint,
        kept.replaced
    FROM (
        SELECT to_jsonb(gone) AS replaced
        FROM gone
        -- A row that this run itself wrote is no row that was there before it.
        WHERE gone.run_no < (SELECT audit.run_no())
        -- a fence: each row is made jsonb once
        OFFSET 0
    ) AS kept
    ON CONFLICT (run_no, table_name, key) DO NOTHING;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.keep_replaced() IS 'Keep the rows of core that a run changes or removes, as they were, so that it can be undone.';
