-- core.customers: every customer the company has, as last delivered.
-- Grain: one row per customer_id.
-- Reads: staging.customers, orders, payments, core.orders, payments, customer_activity, audit.sources
-- Write: merged; only rows that differ are written; a snapshot removes the absent ones that nothing needs.

SELECT audit.open_ledger('core.customers', count(*), 0) FROM core.customers;

WITH absent AS (
    DELETE FROM core.customers
    WHERE customers.customer_id IN (SELECT gone.customer_id FROM core.absent_customers() AS gone)
    RETURNING customers.customer_id
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT absent.customer_id FROM absent
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.customers', count(*), -count(*), 0) FROM absent;

-- An empty table takes the whole delivery at once, and gets its indexes afterwards.
SELECT audit.open_whole_load('core.customers');

INSERT INTO core.customers (
    customer_id,
    first_name,
    last_name,
    email,
    country,
    gender,
    date_of_birth,
    run_no,
    updated_at
)
SELECT
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customers.email,
    customers.country,
    customers.gender,
    customers.date_of_birth,
    (SELECT audit.run_no()) AS run_no,
    now() AS updated_at
FROM staging.customers
WHERE customers.reason IS NULL AND (SELECT audit.loads_whole());

SELECT audit.close_whole_load();

-- Who has no activity yet need not be entered: core.customer_activity finds them.
INSERT INTO core.stale_customers (customer_id)
SELECT customers.customer_id
FROM core.customers
INNER JOIN core.customer_activity ON customers.customer_id = customer_activity.customer_id
WHERE (SELECT audit.loads_whole())
ON CONFLICT (customer_id) DO NOTHING;

SELECT audit.book('core.customers', count(*), count(*), 0)
FROM core.customers
WHERE (SELECT audit.loads_whole());

WITH changed AS (
    UPDATE core.customers AS kept
    SET
        first_name = delivered.first_name,
        last_name = delivered.last_name,
        email = delivered.email,
        country = delivered.country,
        gender = delivered.gender,
        date_of_birth = delivered.date_of_birth,
        run_no = (SELECT audit.run_no()),
        updated_at = now()
    FROM (
        SELECT
            customers.customer_id,
            customers.first_name,
            customers.last_name,
            customers.email,
            customers.country,
            customers.gender,
            customers.date_of_birth
        FROM staging.customers
        WHERE customers.reason IS NULL AND NOT (SELECT audit.loads_whole())
    ) AS delivered
    WHERE
        kept.customer_id = delivered.customer_id
        AND (
            kept.first_name, kept.last_name, kept.email, kept.country, kept.gender, kept.date_of_birth
        ) IS DISTINCT FROM (
            delivered.first_name,
            delivered.last_name,
            delivered.email,
            delivered.country,
            delivered.gender,
            delivered.date_of_birth
        )
    RETURNING kept.customer_id
)

-- A change of name or address changes nobody's activity.
SELECT audit.book('core.customers', count(*), 0, 0) FROM changed;

-- What is there already is passed over; core.customers__reconciles holds every good line against what core has.
WITH added AS (
    INSERT INTO core.customers (
        customer_id, first_name, last_name, email, country, gender, date_of_birth, run_no, updated_at
    )
    SELECT
        customers.customer_id,
        customers.first_name,
        customers.last_name,
        customers.email,
        customers.country,
        customers.gender,
        customers.date_of_birth,
        (SELECT audit.run_no()) AS run_no,
        now() AS updated_at
    FROM staging.customers
    WHERE customers.reason IS NULL AND NOT (SELECT audit.loads_whole())
    ON CONFLICT DO NOTHING
    RETURNING customers.customer_id
),

stale AS (
    INSERT INTO core.stale_customers (customer_id)
    SELECT added.customer_id FROM added
    ON CONFLICT (customer_id) DO NOTHING
)

SELECT audit.book('core.customers', count(*), count(*), 0) FROM added;

SELECT audit.release('customer_data');
