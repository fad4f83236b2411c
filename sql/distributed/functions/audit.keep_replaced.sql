-- audit.keep_replaced: as in sql/definitions, where core is distributed: on each worker, beside the rows that it keeps.
CREATE OR REPLACE FUNCTION audit.keep_replaced() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    -- core.orders_102040 is the shard 102040 of core.orders.
    table_name constant text := TG_TABLE_SCHEMA || '.' || regexp_replace(TG_TABLE_NAME, '_[0-9]+$', '');
    beside text;
BEGIN
    IF current_setting('ltv.keeps_nothing', true) = 'on' THEN
        RETURN NULL;
    END IF;
    SELECT pg_catalog.shard_name(kept.logicalrelid, kept.shardid) INTO beside
    FROM pg_catalog.pg_dist_shard AS kept
    INNER JOIN pg_catalog.pg_dist_shard AS own ON kept.shardminvalue = own.shardminvalue
    WHERE
        kept.logicalrelid = 'audit.replaced_rows'::regclass
        AND own.logicalrelid = table_name::regclass
        AND own.shardid = substring(TG_TABLE_NAME FROM '_([0-9]+)$')::bigint;
    EXECUTE format(
        $sql$
        INSERT INTO %s (run_no, table_name, key, replaced, customer_id)
        SELECT
            $1,
            $2,
            (kept.replaced ->> $3)::bigint,
            kept.replaced,
            (kept.replaced ->> 'customer_id')::bigint
        FROM (
            SELECT to_jsonb(gone) AS replaced
            FROM gone
            WHERE gone.run_no < $1
            -- a fence: each row is made jsonb once
            OFFSET 0
        ) AS kept
        ON CONFLICT (run_no, table_name, key, customer_id) DO NOTHING
        $sql$, beside
    ) USING current_setting('ltv.run_no')::integer, table_name, TG_ARGV[0];
    RETURN NULL;
END $$;
