-- forecast.customer_forecast__near_what_happened: an earlier model's forecast was near enough to what came of it.
WITH judged AS (
    SELECT
        sum(calibration.expected_orders) AS expected_orders,
        sum(calibration.actual_orders) AS actual_orders,
        min(calibration.model_no) AS model_no,
        min(calibration.as_of) AS as_of,
        min(calibration.until) AS until
    FROM forecast.calibration
)

-- A warning from max_miss on, and a failure where it is wrong altogether. Without a model that is old enough there is
-- nothing to be near to.
SELECT
    audit.verdict(
        claim => 'forecast.customer_forecast__near_what_happened',
        bad_rows => round(abs(coalesce(judged.expected_orders - judged.actual_orders, 0))),
        checked_rows => greatest(1, coalesce(judged.actual_orders, 1)),
        fail_over => 1,
        warn_over => assumptions.max_miss,
        example => format(
            'model %s expected %s orders after %s, until %s there were %s',
            judged.model_no, round(judged.expected_orders), judged.as_of, judged.until, judged.actual_orders
        )
    ) AS near_what_happened
FROM judged
CROSS JOIN forecast.assumptions;
