-- core.customers__reconciles: what core held before, and what this run changed, add up to what it holds;
-- and every good line of the delivery stands in core as delivered.
WITH held AS (
    SELECT count(*) AS rows_now FROM core.customers
),

missing AS (
    SELECT
        count(*) AS lines,
        min(astray.customer_id) AS example
    FROM core.customers_not_as_delivered() AS astray
)

SELECT
    audit.verdict(
        claim => 'core.customers__reconciles',
        bad_rows => abs(held.rows_now - ledger.rows_before - ledger.rows_change)
        + missing.lines,
        checked_rows => held.rows_now,
        example => concat_ws(
            '; ',
            CASE
                WHEN ledger.run_no IS NULL THEN 'the run has not reached core.customers'
                ELSE format(
                    '%s + %s rows expected, %s found', ledger.rows_before, ledger.rows_change, held.rows_now
                )
            END,
            'customer_id ' || missing.example || ' not as delivered'
        )
    ) AS reconciles
FROM held
CROSS JOIN missing
LEFT JOIN audit.ledger ON ledger.run_no = (SELECT audit.run_no()) AND ledger.table_name = 'core.customers';
