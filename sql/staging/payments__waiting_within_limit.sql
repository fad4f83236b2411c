-- staging.payments__waiting_within_limit: of this delivery no more lines than audit.sources allows wait, for their
-- order or their day.
SELECT
    audit.verdict(
        claim => 'staging.payments__waiting_within_limit',
        bad_rows => count(*) FILTER (WHERE payments.reason LIKE '% waits:%'),
        checked_rows => count(*),
        fail_over => min(sources.max_waiting_share),
        example => 'payment ' || min(payments.payment_id) FILTER (WHERE payments.reason LIKE '% waits:%')
    ) AS waiting_within_limit
FROM staging.payments
INNER JOIN audit.sources ON sources.source = 'payment_data'
-- Those that an earlier delivery left waiting are no fault of this one.
WHERE payments.line_no > 0;
