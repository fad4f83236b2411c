-- forecast.customer_rfm: how often, until when and for how much each customer has bought, as of the published day.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.buying_days, marts.freshness
-- Write: rebuilt.

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_hashagg = off;

DROP TABLE IF EXISTS forecast.customer_rfm;

CREATE TABLE forecast.customer_rfm AS
WITH in_turn AS (
    SELECT
        buying_days.customer_id,
        buying_days.order_date,
        buying_days.orders,
        buying_days.amount,
        row_number() OVER (PARTITION BY buying_days.customer_id ORDER BY buying_days.order_date) > 1 AS is_repeat
    FROM forecast.buying_days
    -- While the next run fills core, its day is none of this one's.
    WHERE buying_days.order_date <= (SELECT freshness.as_of FROM marts.freshness)
),

customers AS (
    SELECT
        customer_id,
        count(*) FILTER (WHERE is_repeat) AS frequency,
        avg(amount) FILTER (WHERE is_repeat) AS monetary_value,
        sum(amount) FILTER (WHERE is_repeat) AS repeat_amount,
        sum(orders) AS total_orders,
        sum(amount) AS total_amount,
        min(order_date) AS first_order_date,
        max(order_date) AS last_order_date
    FROM in_turn
    GROUP BY customer_id
)

SELECT
    customers.customer_id,
    customers.frequency::integer AS frequency,
    (customers.last_order_date - customers.first_order_date)::double precision / 7 AS recency,
    (freshness.as_of - customers.first_order_date)::double precision / 7 AS t,
    coalesce(customers.repeat_amount, 0)::double precision AS repeat_amount,
    coalesce(customers.monetary_value, 0)::numeric(24, 4) AS monetary_value,
    customers.total_orders::bigint AS total_orders,
    customers.total_amount::numeric(24, 2) AS total_amount,
    customers.first_order_date,
    customers.last_order_date,
    freshness.as_of
FROM customers
CROSS JOIN marts.freshness;

ANALYZE forecast.customer_rfm;
