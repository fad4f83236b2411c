-- forecast.clv_model: the models, fitted to what customers have bought up to the published day; once a week.
-- Grain: one row per fit.
-- Reads: forecast.cohorts, repeat_buyers, active_models, assumptions, freshness
-- Write: appended; nothing where the last fit is young enough.

-- A crash of the server empties UNLOGGED tables; that must not pass for customers who never come back.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM forecast.repeat_buyers) AND EXISTS (SELECT FROM forecast.cohorts WHERE frequency > 0) THEN
        RAISE EXCEPTION 'forecast.repeat_buyers has been lost, by a crash of the server: clear the task forecast.repeat_buyers';
    END IF;
END $$;

INSERT INTO forecast.clv_model (
    as_of,
    verdict,
    customers,
    repeat_customers,
    r,
    alpha,
    a,
    b,
    log_likelihood,
    iterations,
    p,
    q,
    gamma,
    value_log_likelihood,
    value_iterations,
    frequency_value_correlation,
    seconds,
    fitted_at
)
WITH bought AS (
    SELECT
        (SELECT freshness.as_of FROM forecast.freshness) AS as_of,
        sum(cohorts.customers)::bigint AS customers,
        coalesce(sum(cohorts.customers) FILTER (WHERE cohorts.frequency > 0), 0)::bigint AS repeat_customers,
        round(max(cohorts.t) * 7) AS days_known,
        ln(sum(cohorts.customers * cohorts.t) / sum(cohorts.customers) + 1) AS log_weeks,
        sum(cohorts.sum_of_log_values)
        / sum(cohorts.customers) FILTER (WHERE cohorts.frequency > 0) AS log_value
    FROM forecast.cohorts
    WHERE cohorts.frequency IS NOT NULL AND cohorts.t IS NOT NULL
),

due AS (
    SELECT
        bought.as_of,
        bought.customers,
        bought.repeat_customers,
        bought.log_weeks,
        bought.log_value,
        bought.days_known,
        bought.repeat_customers < assumptions.min_repeat_customers AS are_too_few,
        assumptions.min_repeat_customers,
        -- In a few days nobody has fallen silent, and any rate fits.
        bought.days_known < assumptions.min_days_known AS are_too_young,
        assumptions.min_days_known
    FROM bought
    CROSS JOIN forecast.assumptions
    WHERE
        bought.customers > 0
        AND NOT EXISTS (
            SELECT FROM forecast.active_models
            WHERE
                active_models.as_of <= bought.as_of
                AND active_models.as_of > bought.as_of - assumptions.refit_after_days
        )
),

-- The customers of today are nearly those of a week ago. But from far out, as where nobody had left yet or all paid the
-- same, no slope leads back.
last_fit AS (
    SELECT
        CASE
            WHEN greatest(abs(ln(active_models.r)), abs(ln(active_models.a)), abs(ln(active_models.b))) < 3
                THEN
                    ARRAY[
                        ln(active_models.r), ln(active_models.alpha), ln(active_models.a), ln(active_models.b)
                    ]
        END AS purchases,
        CASE
            WHEN greatest(abs(ln(active_models.p)), abs(ln(active_models.q))) < 3
                THEN ARRAY[ln(active_models.p), ln(active_models.q), ln(active_models.gamma)]
        END AS values_of
    FROM forecast.active_models
    WHERE active_models.r IS NOT NULL
    ORDER BY active_models.model_no DESC
    LIMIT 1
),

fitted AS (
    SELECT
        due.as_of,
        due.customers,
        due.repeat_customers,
        due.are_too_few,
        due.min_repeat_customers,
        due.are_too_young,
        due.days_known,
        due.min_days_known,
        purchases.top AS purchases,
        purchases.height * due.customers AS log_likelihood,
        purchases.iterations,
        purchases.is_found,
        spent.top AS spent,
        spent.height * due.repeat_customers AS value_log_likelihood,
        spent.iterations AS value_iterations,
        -- At q <= 1 the mean of what customers spend is infinite.
        spent.is_found AND spent.top[2] > 0 AS has_values
    FROM due
    LEFT JOIN last_fit ON true
    LEFT JOIN
        LATERAL
        forecast.climb(
            'forecast.bg_nbd_gradient',
            coalesce(last_fit.purchases, ARRAY[0, due.log_weeks, 0, 0]),
            -- Out there all customers are alike: it fits no better, and neighbours' gamma functions do not differ.
            ARRAY[7, 12, 7, 7]
        ) AS purchases
        ON NOT (due.are_too_few OR due.are_too_young)
    LEFT JOIN
        LATERAL
        forecast.climb(
            'forecast.gamma_gamma_gradient',
            coalesce(last_fit.values_of, ARRAY[1, 1, due.log_value]),
            -- The last one is an amount of money, in whatever currency.
            ARRAY[7, 7, 37]
        ) AS spent
        ON purchases.is_found
)

SELECT
    fitted.as_of,
    CASE
        WHEN fitted.are_too_few
            THEN format(
                'refused: %s customers have bought on two days or more, %s are needed',
                fitted.repeat_customers, fitted.min_repeat_customers
            )
        WHEN fitted.are_too_young
            THEN format(
                'refused: the first purchase of all was %s days ago, %s are needed',
                fitted.days_known, fitted.min_days_known
            )
        WHEN NOT fitted.is_found THEN 'refused: the search has found no best fit'
        WHEN NOT fitted.has_values
            THEN 'fitted, without values: what customers spend has no mean, or the search has found no best fit'
        ELSE 'fitted'
    END AS verdict,
    fitted.customers,
    fitted.repeat_customers,
    CASE WHEN fitted.is_found THEN exp(fitted.purchases[1]) END AS r,
    CASE WHEN fitted.is_found THEN exp(fitted.purchases[2]) END AS alpha,
    CASE WHEN fitted.is_found THEN exp(fitted.purchases[3]) END AS a,
    CASE WHEN fitted.is_found THEN exp(fitted.purchases[4]) END AS b,
    CASE WHEN fitted.is_found THEN fitted.log_likelihood END AS log_likelihood,
    fitted.iterations,
    CASE WHEN fitted.has_values THEN exp(fitted.spent[1]) END AS p,
    CASE WHEN fitted.has_values THEN exp(fitted.spent[2]) END AS q,
    CASE WHEN fitted.has_values THEN exp(fitted.spent[3]) END AS gamma,
    CASE WHEN fitted.has_values THEN fitted.value_log_likelihood END AS value_log_likelihood,
    fitted.value_iterations,
    (
        SELECT corr(repeat_buyers.frequency, repeat_buyers.repeat_amount / repeat_buyers.frequency)
        FROM forecast.repeat_buyers
    ) AS frequency_value_correlation,
    extract(EPOCH FROM clock_timestamp() - transaction_timestamp()) AS seconds,
    -- An undo since then takes from it what it was fitted to.
    (SELECT freshness.computed_at FROM forecast.freshness) AS fitted_at
FROM fitted;
