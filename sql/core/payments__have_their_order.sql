-- core.payments__have_their_order: every payment's order is in core and belongs to the same customer.
-- Looked at is what has changed after the run in which that held:
-- payments that were written, and those whose order was.
-- What has not changed counts as checked.
-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;

WITH since AS MATERIALIZED (
    SELECT
        held.run_no,
        audit.written_since(held.run_no) AS has_changes
    FROM audit.held_since('core.payments__have_their_order') AS held (run_no)
),

changed AS (
    SELECT
        payments.payment_id,
        payments.customer_id,
        payments.order_customer_id
    FROM core.payments_and_their_order AS payments
    WHERE
        -- Asked once: where nothing has changed nothing is read.
        (SELECT since.has_changes FROM since)
        AND (
            payments.run_no > (SELECT since.run_no FROM since)
            OR payments.payment_id IN (
                SELECT replaced.key
                FROM audit.replaced_since('core.payments', (SELECT since.run_no FROM since)) AS replaced
            )
            OR payments.order_id IN (
                SELECT replaced.key
                FROM audit.replaced_since('core.orders', (SELECT since.run_no FROM since)) AS replaced
            )
        )
),

counted AS (
    SELECT
        count(*) AS payments,
        count(*) FILTER (WHERE changed.order_customer_id IS DISTINCT FROM changed.customer_id) AS astray,
        min(changed.payment_id) FILTER (
            WHERE changed.order_customer_id IS DISTINCT FROM changed.customer_id
        ) AS example
    FROM changed
)

SELECT
    audit.verdict(
        claim => 'core.payments__have_their_order',
        bad_rows => counted.astray,
        checked_rows => greatest(counted.payments, (SELECT audit.rows_booked('core.payments'))),
        example => 'payment ' || counted.example
    ) AS have_their_order
FROM counted;
