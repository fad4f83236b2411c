-- intermediate.customer_ltv__total_near_the_published: the total ltv has not moved further than audit.sources allows.
WITH candidates AS (
    SELECT
        count(*) AS customers,
        coalesce(sum(customer_ltv.ltv), 0) AS total_ltv
    FROM intermediate.customer_ltv
),

published AS (
    SELECT sum(customer_ltv.ltv) AS total_ltv FROM marts.customer_ltv
)

-- Before the first publish there is nothing to be near to.
SELECT
    audit.verdict(
        claim => 'intermediate.customer_ltv__total_near_the_published',
        bad_rows => abs(candidates.total_ltv - coalesce(nullif(published.total_ltv, 0), candidates.total_ltv)),
        checked_rows => CASE
            WHEN candidates.customers > 0
                THEN coalesce(nullif(published.total_ltv, 0), greatest(candidates.total_ltv, 1))
        END,
        fail_over => sources.max_total_change,
        example => format('%s published, %s now', published.total_ltv, candidates.total_ltv)
    ) AS total_near_the_published
FROM candidates
CROSS JOIN published
INNER JOIN audit.sources ON sources.source = 'payment_data';
