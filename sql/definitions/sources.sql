-- audit.sources: what each delivered file must look like, and how much of it may be wrong.
-- Grain: one row per source.
-- Reads: nothing
-- Write: merged at every make migrate; edit the list below, not the table.

MERGE INTO audit.sources AS declared
USING (
    SELECT
        listed.source,
        listed.entity,
        listed.columns,
        listed.kind,
        'UTF8' AS encoding,
        ',' AS delimiter,
        ARRAY['', 'NULL', 'N/A', '-', '\N'] AS null_tokens,
        0.05 AS max_reject_share,
        10000 AS max_rejects,
        0.05 AS max_waiting_share,
        0.10 AS max_volume_fall,
        0.50 AS max_total_change,
        interval '05:30' AS wait_until
    FROM (
        VALUES
        (
            'customer_data', 'customers', 'delta',
            ARRAY['customer_id', 'first_name', 'last_name', 'email', 'country', 'gender', 'date_of_birth']
        ),
        (
            'order_data', 'orders', 'delta',
            ARRAY['order_id', 'customer_id', 'order_date', 'product', 'price']
        ),
        (
            'payment_data', 'payments', 'delta',
            ARRAY['payment_id', 'customer_id', 'order_id', 'payment_date', 'amount']
        )
    ) AS listed (source, entity, kind, columns)
) AS listed
    ON declared.source = listed.source
WHEN MATCHED THEN
    UPDATE
        SET
            entity = listed.entity,
            columns = listed.columns,
            kind = listed.kind,
            encoding = listed.encoding,
            delimiter = listed.delimiter,
            null_tokens = listed.null_tokens,
            max_reject_share = listed.max_reject_share,
            max_rejects = listed.max_rejects,
            max_waiting_share = listed.max_waiting_share,
            max_volume_fall = listed.max_volume_fall,
            max_total_change = listed.max_total_change,
            wait_until = listed.wait_until
WHEN NOT MATCHED THEN INSERT (
    source,
    entity,
    columns,
    kind,
    encoding,
    delimiter,
    null_tokens,
    max_reject_share,
    max_rejects,
    max_waiting_share,
    max_volume_fall,
    max_total_change,
    wait_until
) VALUES (
    listed.source,
    listed.entity,
    listed.columns,
    listed.kind,
    listed.encoding,
    listed.delimiter,
    listed.null_tokens,
    listed.max_reject_share,
    listed.max_rejects,
    listed.max_waiting_share,
    listed.max_volume_fall,
    listed.max_total_change,
    listed.wait_until
);
