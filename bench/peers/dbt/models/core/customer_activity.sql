{{ config(unique_key='customer_id', indexes=[{'columns': ['customer_id'], 'unique': true}]) }}
-- depends_on: {{ ref('stg_customers') }}, {{ ref('stg_orders') }}, {{ ref('stg_payments') }}, {{ ref('customers') }}

WITH stale AS (
    {% if is_incremental() -%}
    SELECT customer_id FROM {{ ref('stg_customers') }} WHERE reason IS NULL
    UNION
    SELECT customer_id FROM {{ ref('stg_orders') }} WHERE reason IS NULL
    UNION
    SELECT customer_id FROM {{ ref('stg_payments') }} WHERE reason IS NULL
    {%- else -%}
    SELECT customer_id FROM {{ ref('customers') }}
    {%- endif %}
),

-- A paid order is one whose payments, refunds deducted, add up to more than 0.
net_payments AS (
    SELECT
        payments.customer_id,
        payments.order_id,
        sum(payments.amount) AS amount,
        sum(payments.amount) > 0 AS is_paid
    FROM {{ ref('payments') }} AS payments
    INNER JOIN stale ON payments.customer_id = stale.customer_id
    GROUP BY payments.customer_id, payments.order_id
),

buyers AS (
    SELECT
        orders.customer_id,
        count(*) FILTER (WHERE net_payments.is_paid) AS total_orders,
        sum(net_payments.amount) FILTER (WHERE net_payments.is_paid) AS total_amount,
        sum(net_payments.amount) FILTER (WHERE NOT net_payments.is_paid) AS unpaid_amount,
        min(orders.order_date) FILTER (WHERE net_payments.is_paid) AS first_order_date,
        max(orders.order_date) FILTER (WHERE net_payments.is_paid) AS last_order_date
    FROM {{ ref('orders') }} AS orders
    INNER JOIN net_payments
        ON orders.customer_id = net_payments.customer_id AND orders.order_id = net_payments.order_id
    GROUP BY orders.customer_id
)

SELECT
    stale.customer_id,
    coalesce(buyers.total_orders, 0)::integer AS total_orders,
    coalesce(buyers.total_amount, 0)::numeric(18, 2) AS total_amount,
    coalesce(buyers.unpaid_amount, 0)::numeric(18, 2) AS unpaid_amount,
    buyers.first_order_date,
    buyers.last_order_date
FROM stale
LEFT JOIN buyers ON stale.customer_id = buyers.customer_id
