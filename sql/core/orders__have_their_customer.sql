-- core.orders__have_their_customer: every order's customer is in core.
-- Looked at is what has changed after the run in which that held:
-- orders that were written, and those whose customer was.
-- What has not changed counts as checked.
WITH since AS MATERIALIZED (
    SELECT
        held.run_no,
        audit.written_since(held.run_no) AS has_changes
    FROM audit.held_since('core.orders__have_their_customer') AS held (run_no)
),

changed AS (
    SELECT
        orders.order_id,
        orders.customer_id
    FROM core.orders
    WHERE
        -- Asked once: where nothing has changed nothing is read.
        (SELECT since.has_changes FROM since)
        AND (
            orders.run_no > (SELECT since.run_no FROM since)
            OR orders.order_id IN (
                SELECT replaced.key
                FROM audit.replaced_since('core.orders', (SELECT since.run_no FROM since)) AS replaced
            )
            OR orders.customer_id IN (
                SELECT replaced.key
                FROM audit.replaced_since('core.customers', (SELECT since.run_no FROM since)) AS replaced
            )
        )
),

counted AS (
    SELECT
        count(*) AS orders,
        count(*) FILTER (WHERE customers.customer_id IS NULL) AS astray,
        min(changed.order_id) FILTER (WHERE customers.customer_id IS NULL) AS example
    FROM changed
    LEFT JOIN core.customers ON changed.customer_id = customers.customer_id
)

SELECT
    audit.verdict(
        claim => 'core.orders__have_their_customer',
        bad_rows => counted.astray,
        checked_rows => greatest(counted.orders, (SELECT audit.rows_booked('core.orders'))),
        example => 'order ' || counted.example
    ) AS have_their_customer
FROM counted;
