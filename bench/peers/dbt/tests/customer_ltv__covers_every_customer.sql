-- Each customer has a row: customer_ltv's own tests say that nobody else has one, or a second.
SELECT customers.customer_id
FROM {{ ref('customers') }} AS customers
LEFT JOIN {{ ref('customer_ltv') }} AS customer_ltv ON customers.customer_id = customer_ltv.customer_id
WHERE customer_ltv.customer_id IS NULL
