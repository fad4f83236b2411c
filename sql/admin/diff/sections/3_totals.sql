-- Totals: what marts.customer_ltv adds up to.
WITH sides AS (
    SELECT
        'base' AS side,
        customer_ltv.total_orders,
        customer_ltv.total_amount,
        customer_ltv.ltv
    FROM marts.customer_ltv
    UNION ALL
    SELECT
        'edited' AS side,
        customer_ltv.total_orders,
        customer_ltv.total_amount,
        customer_ltv.ltv
    FROM edited.marts__customer_ltv AS customer_ltv
),

totals AS (
    SELECT
        total.place,
        total.name,
        coalesce(sum(total.amount) FILTER (WHERE sides.side = 'base'), 0) AS base,
        coalesce(sum(total.amount) FILTER (WHERE sides.side = 'edited'), 0) AS edited
    FROM sides
    CROSS JOIN
        LATERAL (
            VALUES
            (1, 'customers', 1::numeric),
            (2, 'customers with a paid order', (sides.total_orders > 0)::integer),
            (3, 'paid orders', sides.total_orders),
            (4, 'amount paid', sides.total_amount),
            (5, 'ltv', sides.ltv)
        ) AS total (place, name, amount)
    GROUP BY total.place, total.name
)

SELECT
    totals.name AS total,
    totals.base,
    totals.edited,
    totals.edited - totals.base AS change,
    round(100 * (totals.edited - totals.base) / nullif(totals.base, 0), 2) AS change_percent
FROM totals
ORDER BY totals.place;
