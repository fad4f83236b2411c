-- report.page: the key figures at the top of the page, as text.
-- Grain: one row per figure, in the order in which they stand.
-- Reads: marts.freshness, marts.customer_ltv, marts.customer_forecast
-- Write: nothing. A column more is not shown; a row more is a figure more.

WITH worth AS (
    SELECT
        count(*) AS customers,
        count(*) FILTER (WHERE customer_ltv.total_orders > 0) AS buyers,
        coalesce(sum(customer_ltv.ltv), 0) AS total_ltv,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY customer_ltv.ltv) FILTER (WHERE customer_ltv.total_orders > 0)
            AS median_ltv,
        coalesce(sum(customer_ltv.total_amount), 0) AS total_amount,
        coalesce(sum(customer_ltv.total_orders), 0) AS total_orders
    FROM marts.customer_ltv
),

expected AS (
    SELECT
        sum(customer_forecast.expected_value) AS expected_value,
        max(customer_forecast.as_of) AS as_of
    FROM marts.customer_forecast
),

age AS (
    SELECT
        freshness.as_of,
        freshness.published_at,
        -- From the end of the last day that the numbers know of.
        greatest(0, extract(EPOCH FROM now() - (freshness.as_of + 1)::timestamp AT TIME ZONE 'Africa/Kigali') / 86400)
            AS days
    FROM marts.freshness
),

figures AS (
    SELECT
        1 AS place,
        'As of' AS figure,
        coalesce((SELECT to_char(age.as_of, 'FMDD Mon YYYY') FROM age), 'not yet') AS value,
        coalesce(
            (SELECT 'published ' || to_char(age.published_at, 'FMDD Mon YYYY, HH24:MI') FROM age),
            'nothing has been published'
        ) AS note
    UNION ALL
    SELECT
        2 AS place,
        'Age of the data' AS figure,
        to_char(age.days, 'FM999,999,990.0') || ' days' AS value,
        'when this page was made, ' || to_char(now(), 'FMDD Mon YYYY, HH24:MI') AS note
    FROM age
    UNION ALL
    SELECT
        3 AS place,
        'Customers' AS figure,
        to_char(worth.customers, 'FM999,999,999,990') AS value,
        to_char(worth.buyers, 'FM999,999,999,990') || ' of them have bought' AS note
    FROM worth
    UNION ALL
    SELECT
        4 AS place,
        'Lifetime value' AS figure,
        to_char(worth.total_ltv, 'FM999,999,999,999,990') AS value,
        'of all customers; half of the buyers are worth '
        || coalesce(to_char(worth.median_ltv, 'FM999,999,999,990'), '0') || ' or more' AS note
    FROM worth
    UNION ALL
    SELECT
        5 AS place,
        'Paid so far' AS figure,
        to_char(worth.total_amount, 'FM999,999,999,999,990') AS value,
        'in ' || to_char(worth.total_orders, 'FM999,999,999,990') || ' orders, refunds deducted' AS note
    FROM worth
    UNION ALL
    SELECT
        6 AS place,
        'Expected in 12 months' AS figure,
        coalesce(to_char(expected.expected_value, 'FM999,999,999,999,990'), 'no forecast') AS value,
        coalesce('forecast from ' || to_char(expected.as_of, 'FMDD Mon YYYY'), 'none has been made yet') AS note
    FROM expected
)

SELECT
    figures.figure,
    figures.value,
    figures.note
FROM figures
ORDER BY figures.place;
