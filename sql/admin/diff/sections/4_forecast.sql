-- Forecast: what the last fit, and the sums of the next 12 months, say otherwise than before.
WITH fits AS (
    (
        SELECT
            'base' AS side,
            to_jsonb(clv_model.*) AS fit
        FROM forecast.clv_model
        ORDER BY clv_model.model_no DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'edited' AS side,
            to_jsonb(clv_model.*) AS fit
        FROM edited.forecast__clv_model AS clv_model
        ORDER BY clv_model.model_no DESC
        LIMIT 1
    )
),

sums AS (
    (
        SELECT
            'base' AS side,
            publishes.customers,
            publishes.expected_orders,
            publishes.expected_value
        FROM forecast.publishes
        ORDER BY publishes.publish_no DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'edited' AS side,
            publishes.customers,
            publishes.expected_orders,
            publishes.expected_value
        FROM edited.forecast__publishes AS publishes
        ORDER BY publishes.publish_no DESC
        LIMIT 1
    )
),

figures AS (
    SELECT
        fits.side,
        named.place,
        named.name,
        CASE jsonb_typeof(fits.fit -> named.name)
            WHEN 'number' THEN trim_scale(round((fits.fit ->> named.name)::numeric, 4))::text
            ELSE fits.fit ->> named.name
        END AS figure
    FROM fits
    CROSS JOIN
        unnest(ARRAY[
            'verdict', 'repeat_customers', 'r', 'alpha', 'a', 'b', 'log_likelihood', 'p', 'q', 'gamma',
            'value_log_likelihood'
        ])
        WITH ORDINALITY AS named (name, place)
    UNION ALL
    SELECT
        sums.side,
        total.place,
        total.name,
        total.amount AS figure
    FROM sums
    CROSS JOIN
        LATERAL (
            VALUES
            (21, 'customers', to_char(sums.customers, 'FM999,999,999,999,990')),
            (22, 'expected orders', to_char(sums.expected_orders, 'FM999,999,999,999,990.00')),
            (23, 'expected value', to_char(sums.expected_value, 'FM999,999,999,999,990.00'))
        ) AS total (place, name, amount)
)

SELECT
    figures.name AS figure,
    max(figures.figure) FILTER (WHERE figures.side = 'base') AS base,
    max(figures.figure) FILTER (WHERE figures.side = 'edited') AS edited
FROM figures
GROUP BY figures.place, figures.name
HAVING
    max(figures.figure) FILTER (WHERE figures.side = 'base')
    IS DISTINCT FROM max(figures.figure) FILTER (WHERE figures.side = 'edited')
ORDER BY figures.place;
