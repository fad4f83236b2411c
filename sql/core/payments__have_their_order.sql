-- core.payments__have_their_order: every payment's order is in core and belongs to the same customer.
-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;

SELECT
    audit.verdict(
        claim => 'core.payments__have_their_order',
        bad_rows => count(*) FILTER (WHERE orders.order_id IS NULL),
        checked_rows => count(*),
        example => 'payment ' || min(payments.payment_id) FILTER (WHERE orders.order_id IS NULL)
    ) AS have_their_order
FROM core.payments
LEFT JOIN core.orders
    ON payments.order_id = orders.order_id AND payments.customer_id = orders.customer_id;
