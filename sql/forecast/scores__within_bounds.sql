-- forecast.scores__within_bounds: p_alive is a chance, what is expected is not negative, nobody buys twice a day.
WITH judged AS (
    SELECT
        scores.customer_id,
        (
            coalesce(scores.p_alive, 0) BETWEEN 0 AND 1
            AND coalesce(scores.expected_orders, 0) BETWEEN 0 AND 366
            -- From 1e21 on it has been cut; NaN is above every number.
            AND coalesce(scores.expected_order_value, 0) BETWEEN 0 AND 999999999999999999999
            AND coalesce(scores.expected_value, 0) BETWEEN 0 AND 999999999999999999999
        ) IS NOT true AS is_bad
    FROM forecast.scores
)

SELECT
    audit.verdict(
        claim => 'forecast.scores__within_bounds',
        bad_rows => count(*) FILTER (WHERE judged.is_bad),
        checked_rows => greatest(1, count(*)),
        example => 'customer ' || min(judged.customer_id) FILTER (WHERE judged.is_bad)
    ) AS within_bounds
FROM judged;
