-- Every payment's order is kept and belongs to the same customer.
SELECT payments.payment_id
FROM {{ ref('payments') }} AS payments
LEFT JOIN {{ ref('orders') }} AS orders
    ON payments.order_id = orders.order_id AND payments.customer_id = orders.customer_id
WHERE orders.order_id IS NULL
