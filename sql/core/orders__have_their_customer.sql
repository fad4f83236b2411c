-- core.orders__have_their_customer: every order's customer is in core.
SELECT
    audit.verdict(
        claim => 'core.orders__have_their_customer',
        bad_rows => count(*) FILTER (WHERE customers.customer_id IS NULL),
        checked_rows => count(*),
        example => 'order ' || min(orders.order_id) FILTER (WHERE customers.customer_id IS NULL)
    ) AS have_their_customer
FROM core.orders
LEFT JOIN core.customers ON orders.customer_id = customers.customer_id;
