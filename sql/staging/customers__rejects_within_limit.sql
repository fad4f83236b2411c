-- staging.customers__rejects_within_limit: no more lines are rejected than audit.sources allows.
SELECT
    audit.verdict(
        claim => 'staging.customers__rejects_within_limit',
        bad_rows => sum(loads.rejected),
        checked_rows => sum(loads.records),
        fail_over => min(sources.max_reject_share),
        example => (
            SELECT format('%s line %s: %s', rejected_rows.file, rejected_rows.line_no, rejected_rows.reason)
            FROM audit.rejected_rows
            WHERE
                rejected_rows.source = 'customer_data'
                AND rejected_rows.last_run_no = (SELECT audit.run_no())
                AND NOT rejected_rows.is_waiting
            ORDER BY rejected_rows.line_no
            LIMIT 1
        )
    ) AS rejects_within_limit
FROM audit.loads
INNER JOIN audit.sources ON loads.source = sources.source
WHERE loads.run_no = (SELECT audit.run_no()) AND loads.source = 'customer_data';
