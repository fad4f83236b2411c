-- staging.customers__reconciles: every record of every file is good, superseded, rejected or waiting; none is lost.
SELECT
    audit.verdict(
        claim => 'staging.customers__reconciles',
        bad_rows => sum(
            abs(
                loads.records - coalesce(loads.good + loads.superseded + loads.rejected + loads.waiting, 0)
            )
        ) + abs(
            sum(loads.records) - (SELECT count(*) FROM staging.customers WHERE customers.line_no > 0)
        ),
        checked_rows => sum(loads.records),
        example => min(loads.file) FILTER (
            WHERE loads.records IS DISTINCT FROM loads.good + loads.superseded + loads.rejected + loads.waiting
        )
    ) AS reconciles
FROM audit.loads
WHERE loads.run_no = (SELECT audit.run_no()) AND loads.source = 'customer_data';
