-- total_amount adds up to the payments less those of unpaid orders.
WITH candidates AS (
    SELECT coalesce(sum(total_amount), 0) AS amount FROM {{ ref('customer_ltv') }}
),

unpaid AS (
    SELECT coalesce(sum(unpaid_amount), 0) AS amount FROM {{ ref('customer_activity') }}
),

received AS (
    SELECT coalesce(sum(amount), 0) AS amount FROM {{ ref('payments') }}
)

SELECT
    candidates.amount AS candidate_amount,
    unpaid.amount AS unpaid_amount,
    received.amount AS received_amount
FROM candidates
CROSS JOIN unpaid
CROSS JOIN received
WHERE candidates.amount + unpaid.amount <> received.amount
