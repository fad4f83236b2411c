-- staging.payments__reconciles: every record of every file is good, superseded, rejected or waiting; none is lost.
SELECT
    audit.verdict(
        claim => 'staging.payments__reconciles',
        bad_rows => sum(
            abs(
                loads.records - coalesce(loads.good + loads.superseded + loads.rejected + loads.waiting, 0)
            )
        ) + abs(
            sum(loads.records) - (SELECT count(*) FROM staging.payments WHERE payments.line_no > 0)
        ),
        checked_rows => sum(loads.records),
        example => min(loads.file) FILTER (
            WHERE loads.records IS DISTINCT FROM loads.good + loads.superseded + loads.rejected + loads.waiting
        )
    ) AS reconciles
FROM audit.loads
WHERE loads.run_no = (SELECT audit.run_no()) AND loads.source = 'payment_data';
