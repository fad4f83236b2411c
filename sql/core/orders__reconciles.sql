-- core.orders__reconciles: what core held before, and what this run changed, add up to what it holds;
-- and every good line of the delivery stands in core as delivered.
-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;

WITH held AS (
    SELECT
        count(*) AS rows_now,
        coalesce(sum(orders.price), 0) AS amount_now
    FROM core.orders
),

missing AS (
    SELECT
        count(*) AS lines,
        min(astray.order_id) AS example
    FROM core.orders_not_as_delivered() AS astray
)

SELECT
    audit.verdict(
        claim => 'core.orders__reconciles',
        bad_rows => abs(held.rows_now - ledger.rows_before - ledger.rows_change)
        + (held.amount_now <> ledger.amount_before + ledger.amount_change)::integer
        + missing.lines,
        checked_rows => held.rows_now,
        example => concat_ws(
            '; ',
            CASE
                WHEN ledger.run_no IS NULL THEN 'the run has not reached core.orders'
                ELSE format(
                    '%s + %s rows and %s + %s expected, %s rows and %s found',
                    ledger.rows_before, ledger.rows_change, ledger.amount_before, ledger.amount_change,
                    held.rows_now, held.amount_now
                )
            END,
            'order_id ' || missing.example || ' not as delivered'
        )
    ) AS reconciles
FROM held
CROSS JOIN missing
LEFT JOIN audit.ledger ON ledger.run_no = (SELECT audit.run_no()) AND ledger.table_name = 'core.orders';
