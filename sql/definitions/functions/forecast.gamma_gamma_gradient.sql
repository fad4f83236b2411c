-- forecast.gamma_gamma_gradient: how well the Gamma-Gamma model fits what customers have spent, and which way it fits
-- better.
-- Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), equation 1a, and its derivatives. All but one
-- logarithm depends on the frequency alone.
CREATE OR REPLACE FUNCTION forecast.gamma_gamma_gradient(logs double precision[], share integer)
RETURNS double precision[]
LANGUAGE plpgsql STABLE
SET search_path = ''
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    p constant double precision := exp(logs[1]);
    q constant double precision := exp(logs[2]);
    gamma constant double precision := exp(logs[3]);
    often double precision [];
    spent double precision [];
BEGIN
    often := (
        SELECT
            ARRAY[
                sum(known.customers),
                sum(
                    known.customers * (
                        lgamma(p * known.frequency + q) - lgamma(p * known.frequency) - lgamma(q)
                        + q * ln(gamma) + p * known.frequency * ln(known.frequency::double precision)
                    )
                    + (p * known.frequency - 1) * known.sum_of_log_values
                ),
                sum(
                    known.frequency * (
                        known.customers * (
                            forecast.digamma(p * known.frequency + q) - forecast.digamma(p * known.frequency)
                            + ln(known.frequency::double precision)
                        )
                        + known.sum_of_log_values
                    )
                ),
                sum(
                    known.customers * (forecast.digamma(p * known.frequency + q) - forecast.digamma(q) + ln(gamma))
                )
            ]
        FROM forecast.cohorts AS known
        WHERE known.share = gamma_gamma_gradient.share AND known.t IS NULL AND known.frequency > 0
    );
    -- What is executed has a parallel plan, an expression has none.
    EXECUTE $sql$
        SELECT
            ARRAY[
                sum(known.log_amount),
                sum(known.log_amount * known.frequency),
                sum(known.inverse),
                sum(known.inverse * known.frequency)
            ]
        FROM (
            SELECT
                x.frequency,
                ln($1 + x.repeat_amount) AS log_amount,
                1 / ($1 + x.repeat_amount) AS inverse
            FROM forecast.repeat_buyers AS x
            WHERE x.sample <= $2
            OFFSET '0'
        ) AS known
    $sql$ INTO spent USING gamma, share;
    RETURN ARRAY[
        (often[2] - p * spent[2] - q * spent[1]) / often[1],
        p * (often[3] - spent[2]) / often[1],
        q * (often[4] - spent[1]) / often[1],
        q - gamma * (p * spent[4] + q * spent[3]) / often[1]
    ];
END $$;
COMMENT ON FUNCTION forecast.gamma_gamma_gradient(double precision[], integer) IS 'Mean log-likelihood of the Gamma-Gamma model over the repeat customers in a share of all (forecast.sample_of), given the logarithms of p, q and gamma, and its derivatives by these three.';
