{{ config(indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

WITH lifespan AS (
    SELECT
        greatest(1, coalesce(round(avg((last_order_date - first_order_date) / 365.25), 1), 1)) AS years
    FROM {{ ref('customer_activity') }}
    WHERE total_orders > 1
),

payers AS (
    SELECT
        *,
        age({{ as_of() }}::timestamp, first_order_date::timestamp) AS since_first_order
    FROM {{ ref('customer_activity') }}
    WHERE total_orders > 0
),

observed AS (
    SELECT
        *,
        greatest(12, 12 * extract(YEAR FROM since_first_order) + extract(MONTH FROM since_first_order)) AS months
    FROM payers
)

SELECT
    customers.customer_id,
    coalesce(observed.total_orders, 0) AS total_orders,
    coalesce(observed.total_amount, 0)::numeric(18, 2) AS total_amount,
    (observed.total_amount / observed.total_orders)::numeric(18, 2) AS avg_order_value,
    coalesce(observed.total_amount * lifespan.years * 12 / observed.months, 0)::numeric(18, 2) AS ltv,
    observed.first_order_date,
    observed.last_order_date,
    coalesce(observed.total_orders * 12 / observed.months, 0)::numeric(14, 4) AS orders_per_year,
    lifespan.years::numeric(6, 1) AS avg_lifespan_years
FROM {{ ref('customers') }} AS customers
CROSS JOIN lifespan
LEFT JOIN observed ON customers.customer_id = observed.customer_id
