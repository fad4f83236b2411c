-- forecast.gamma_gamma_log_likelihood: how well the Gamma-Gamma model fits what repeat customers have spent.
-- Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), equation 1a. All but one logarithm depends on the
-- frequency alone.
CREATE OR REPLACE FUNCTION forecast.gamma_gamma_log_likelihood(logs double precision[]) RETURNS double precision
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
DECLARE
    p double precision;
    q double precision;
    gamma double precision;
    log_likelihood double precision;
BEGIN
    -- As for BG/NBD; the last one is an amount of money, in whatever currency.
    IF greatest(abs(logs[1]), abs(logs[2]), abs(logs[3]) - 30) > 7 THEN
        RETURN '-Infinity';
    END IF;
    p := exp(logs[1]);
    q := exp(logs[2]);
    gamma := exp(logs[3]);
    SELECT
        sum(
            frequencies.customers * (
                lgamma(p * frequencies.frequency + q) - lgamma(p * frequencies.frequency) - lgamma(q)
                + q * ln(gamma) + p * frequencies.frequency * ln(frequencies.frequency)
            )
            + (p * frequencies.frequency - 1) * frequencies.sum_of_log_values
        ) INTO log_likelihood
    FROM forecast.frequencies
    WHERE frequencies.frequency > 0;
    log_likelihood := log_likelihood - (
        SELECT
            sum(
                patterns.customers
                * (p * patterns.frequency + q) * ln(gamma + patterns.frequency * patterns.monetary_value)
            )
        FROM forecast.value_patterns AS patterns
    );
    RETURN log_likelihood;
END $$;
COMMENT ON FUNCTION forecast.gamma_gamma_log_likelihood(double precision[]) IS 'Log-likelihood of the Gamma-Gamma model over forecast.value_patterns, given the logarithms of p, q and gamma.';
