-- report.10_ltv_distribution: How many customers are worth how much; each range begins at about twice the one before.
-- Grain: one row per range of ltv, from the lowest to the highest that there is.
-- Reads: marts.customer_ltv
-- Write: nothing.

WITH edges AS (
    SELECT digits.digit * 10::numeric ^ powers.power AS low
    FROM unnest(ARRAY[1, 2, 5]) AS digits (digit)
    CROSS JOIN generate_series(0, 14) AS powers (power)
),

ranges AS (
    SELECT
        (row_number() OVER (ORDER BY edges.low))::integer AS range_no,
        edges.low AS ltv_from,
        lead(edges.low) OVER (ORDER BY edges.low) AS ltv_below
    FROM edges
),

buyers AS (
    SELECT customer_ltv.ltv
    FROM marts.customer_ltv
    WHERE customer_ltv.total_orders > 0
),

counted AS (
    SELECT
        width_bucket(buyers.ltv, (SELECT array_agg(ranges.ltv_from ORDER BY ranges.ltv_from) FROM ranges))
            AS range_no,
        count(*) AS customers,
        sum(buyers.ltv) AS total_ltv
    FROM buyers
    GROUP BY range_no
),

seen AS (
    SELECT
        min(counted.range_no) AS lowest,
        max(counted.range_no) AS highest,
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY buyers.ltv) FROM buyers) AS median_ltv,
        (SELECT max(buyers.ltv) FROM buyers) AS highest_ltv
    FROM counted
)

SELECT
    coalesce(ranges.ltv_from, 0)::numeric(18, 0) AS ltv_from,
    CASE
        WHEN ranges.range_no IS NULL THEN 'below 1'
        ELSE
            to_char(ranges.ltv_from, 'FM999,999,999,999,990') || ' to '
            || to_char(ranges.ltv_below, 'FM999,999,999,999,990')
    END AS ltv_range,
    coalesce(counted.customers, 0) AS customers,
    coalesce(counted.total_ltv, 0) AS total_ltv,
    format(
        'Half of the buyers are worth %s or more, the most valuable one %s.',
        to_char(seen.median_ltv, 'FM999,999,999,999,990'),
        to_char(seen.highest_ltv, 'FM999,999,999,999,990')
    ) AS headline
FROM seen
CROSS JOIN generate_series(seen.lowest, seen.highest) AS shown (range_no)
LEFT JOIN ranges ON shown.range_no = ranges.range_no
LEFT JOIN counted ON shown.range_no = counted.range_no
ORDER BY shown.range_no;
