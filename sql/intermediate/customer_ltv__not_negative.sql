-- intermediate.customer_ltv__not_negative: total_orders, total_amount and ltv are 0 or more.
SELECT
    audit.verdict(
        claim => 'intermediate.customer_ltv__not_negative',
        bad_rows => count(*) FILTER (
            WHERE (candidate.total_orders >= 0 AND candidate.total_amount >= 0 AND candidate.ltv >= 0) IS NOT true
        ),
        checked_rows => count(*),
        example => 'customer ' || min(candidate.customer_id) FILTER (
            WHERE
            (candidate.total_orders >= 0 AND candidate.total_amount >= 0 AND candidate.ltv >= 0) IS NOT true
        )
    ) AS not_negative
FROM intermediate.customer_ltv AS candidate;
