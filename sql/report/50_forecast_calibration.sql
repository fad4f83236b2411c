-- report.50_forecast_calibration: Days with an order per customer: what an earlier forecast expected, and what came.
-- Grain: one row per number of purchases that customers had made before; 7 and more together.
-- Reads: forecast.calibration
-- Write: nothing.

SELECT
    CASE WHEN calibration.frequency = 7 THEN '7+' ELSE calibration.frequency::text END AS repeat_purchases,
    calibration.customers,
    calibration.expected_orders,
    calibration.actual_orders,
    (calibration.expected_orders / calibration.customers)::numeric(14, 3) AS expected_per_customer,
    (calibration.actual_orders::numeric / calibration.customers)::numeric(14, 3) AS actual_per_customer,
    format(
        'From %s to %s the forecast expected %s purchases, and there were %s.',
        to_char(calibration.as_of, 'FMDD FMMonth YYYY'),
        to_char(calibration.until, 'FMDD FMMonth YYYY'),
        to_char(sum(calibration.expected_orders) OVER (), 'FM999,999,999,990'),
        to_char(sum(calibration.actual_orders) OVER (), 'FM999,999,999,990')
    ) AS headline
FROM forecast.calibration
ORDER BY calibration.frequency;
