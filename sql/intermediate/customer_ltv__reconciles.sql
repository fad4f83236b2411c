-- intermediate.customer_ltv__reconciles: total_amount adds up to core's payments less those of unpaid orders.
WITH candidates AS (
    SELECT
        count(*) AS customers,
        coalesce(sum(customer_ltv.total_amount), 0) AS total_amount
    FROM intermediate.customer_ltv
),

received AS (
    SELECT coalesce(sum(payments.amount), 0) AS amount FROM core.payments
),

unpaid AS (
    SELECT coalesce(sum(customer_activity.unpaid_amount), 0) AS amount FROM core.customer_activity
)

SELECT
    audit.verdict(
        claim => 'intermediate.customer_ltv__reconciles',
        bad_rows => (candidates.total_amount + unpaid.amount <> received.amount)::integer,
        checked_rows => candidates.customers,
        example => format(
            '%s in the candidate, %s of unpaid orders, %s in core.payments',
            candidates.total_amount, unpaid.amount, received.amount
        )
    ) AS reconciles
FROM candidates
CROSS JOIN received
CROSS JOIN unpaid;
