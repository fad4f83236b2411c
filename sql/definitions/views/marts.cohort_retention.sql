-- marts.cohort_retention: how the customers who first bought in one month have come back since.
-- Grain: one row per month of the first paid order and number of months since, up to the published day.
-- Reads: forecast.buying_days, marts.freshness
-- Write: a view.
CREATE OR REPLACE VIEW marts.cohort_retention AS
WITH bought AS (
    SELECT
        buying_days.customer_id,
        buying_days.orders,
        buying_days.amount,
        extract(YEAR FROM buying_days.order_date) * 12 + extract(MONTH FROM buying_days.order_date) AS month_no,
        date_trunc('month', min(buying_days.order_date) OVER (PARTITION BY buying_days.customer_id)::timestamp)::date
            AS cohort
    FROM forecast.buying_days
    INNER JOIN marts.freshness ON buying_days.order_date <= freshness.as_of
),

months AS (
    SELECT
        bought.cohort,
        (bought.month_no - extract(YEAR FROM bought.cohort) * 12 - extract(MONTH FROM bought.cohort))::integer
            AS months_since,
        count(DISTINCT bought.customer_id) AS active_customers,
        sum(bought.orders) AS orders,
        sum(bought.amount) AS revenue
    FROM bought
    GROUP BY bought.cohort, bought.month_no
),

-- A month in which nobody of them has bought is a month too.
calendar AS (
    SELECT
        cohorts.cohort,
        cohorts.active_customers AS customers,
        since.months AS months_since
    FROM months AS cohorts
    CROSS JOIN marts.freshness
    CROSS JOIN
        generate_series(
            0,
            (extract(YEAR FROM freshness.as_of) - extract(YEAR FROM cohorts.cohort))::integer * 12
            + (extract(MONTH FROM freshness.as_of) - extract(MONTH FROM cohorts.cohort))::integer
        ) AS since (months)
    WHERE cohorts.months_since = 0
)

SELECT
    calendar.cohort,
    calendar.months_since,
    calendar.customers,
    coalesce(months.active_customers, 0) AS active_customers,
    (coalesce(months.active_customers, 0)::numeric / calendar.customers)::numeric(7, 6) AS retention,
    coalesce(months.orders, 0)::bigint AS orders,
    coalesce(months.revenue, 0) AS revenue,
    (
        sum(coalesce(months.revenue, 0)) OVER (PARTITION BY calendar.cohort ORDER BY calendar.months_since)
        / calendar.customers
    )::numeric(24, 2) AS revenue_per_head_so_far
FROM calendar
LEFT JOIN months ON calendar.cohort = months.cohort AND calendar.months_since = months.months_since;
COMMENT ON VIEW marts.cohort_retention IS 'How the customers who first bought in one month have come back since. One row per month of the first paid order and number of months since.';
COMMENT ON COLUMN marts.cohort_retention.cohort IS 'First day of the month of the first paid order.';
COMMENT ON COLUMN marts.cohort_retention.months_since IS 'Calendar months since that one; 0 is the month itself. The last one may not be over.';
COMMENT ON COLUMN marts.cohort_retention.customers IS 'Customers of the cohort.';
COMMENT ON COLUMN marts.cohort_retention.active_customers IS 'Those of them with a paid order in that month.';
COMMENT ON COLUMN marts.cohort_retention.retention IS 'active_customers / customers.';
COMMENT ON COLUMN marts.cohort_retention.orders IS 'Their paid orders of that month.';
COMMENT ON COLUMN marts.cohort_retention.revenue IS 'The payments of those, refunds deducted, in the reporting currency.';
COMMENT ON COLUMN marts.cohort_retention.revenue_per_head_so_far IS 'Revenue from month 0 to this one, per customer of the cohort.';
