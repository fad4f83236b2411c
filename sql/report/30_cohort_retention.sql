-- report.30_cohort_retention: Of those who first bought in a month, the share that bought again so many months later.
-- Grain: one row per month of the first purchase and number of months since, complete months of the last two years.
-- Reads: marts.cohort_retention, marts.freshness
-- Write: nothing.

SELECT
    to_char(cohort_retention.cohort, 'YYYY-MM') AS cohort,
    cohort_retention.months_since,
    cohort_retention.customers,
    cohort_retention.active_customers,
    (100 * cohort_retention.retention)::numeric(5, 1) AS retention_percent,
    format(
        'Of new customers %s %% bought again a month later.',
        round(
            100
            * (sum(cohort_retention.active_customers) FILTER (WHERE cohort_retention.months_since = 1) OVER ())
            / nullif(sum(cohort_retention.customers) FILTER (WHERE cohort_retention.months_since = 1) OVER (), 0)
        )
    ) AS headline
FROM marts.cohort_retention
INNER JOIN marts.freshness
    ON cohort_retention.cohort + (cohort_retention.months_since + 1) * interval '1 month' <= freshness.as_of + 1
WHERE
    cohort_retention.months_since BETWEEN 1 AND 24
    AND cohort_retention.cohort >= freshness.as_of - interval '25 months'
ORDER BY cohort_retention.cohort, cohort_retention.months_since;
