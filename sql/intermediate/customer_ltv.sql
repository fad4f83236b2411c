-- intermediate.customer_ltv: the candidate: what each customer is worth as of the run's day.
-- Grain: one row per customer_id, customers without a paid order included.
-- Reads: core.customers, core.customer_activity
-- Write: rebuilt.

DROP TABLE IF EXISTS intermediate.customer_ltv;

CREATE TABLE intermediate.customer_ltv AS
-- One number for the whole population: a customer's own span would cancel against its own frequency.
-- Rounded to one decimal, so that it rarely moves.
WITH lifespan AS (
    SELECT
        greatest(
            1,
            coalesce(
                round(avg((customer_activity.last_order_date - customer_activity.first_order_date) / 365.25), 1), 1
            )
        ) AS years
    FROM core.customer_activity
    WHERE customer_activity.total_orders > 1
),

payers AS (
    SELECT
        customer_activity.customer_id,
        customer_activity.total_orders,
        customer_activity.total_amount,
        customer_activity.first_order_date,
        customer_activity.last_order_date,
        -- As timestamps without a zone: days know no summer time.
        age((SELECT audit.as_of())::timestamp, customer_activity.first_order_date::timestamp) AS since_first_order
    FROM core.customer_activity
    WHERE customer_activity.total_orders > 0
),

-- Whole months, at least twelve: one order yesterday is not 365 a year,
-- and a value does not drift from day to day.
observed AS (
    SELECT
        customer_id,
        total_orders,
        total_amount,
        first_order_date,
        last_order_date,
        greatest(12, 12 * extract(YEAR FROM since_first_order) + extract(MONTH FROM since_first_order)) AS months
    FROM payers
)

-- One division, and it comes last: a quotient inside the product would lose the half cents.
SELECT
    customers.customer_id,
    coalesce(observed.total_orders, 0) AS total_orders,
    coalesce(observed.total_amount, 0)::numeric(24, 2) AS total_amount,
    (observed.total_amount / observed.total_orders)::numeric(24, 2) AS avg_order_value,
    coalesce(observed.total_amount * lifespan.years * 12 / observed.months, 0)::numeric(24, 2) AS ltv,
    observed.first_order_date,
    observed.last_order_date,
    coalesce(observed.total_orders * 12 / observed.months, 0)::numeric(14, 4) AS orders_per_year,
    lifespan.years::numeric(6, 1) AS avg_lifespan_years
FROM core.customers
CROSS JOIN lifespan
LEFT JOIN observed ON customers.customer_id = observed.customer_id;

ANALYZE intermediate.customer_ltv;
