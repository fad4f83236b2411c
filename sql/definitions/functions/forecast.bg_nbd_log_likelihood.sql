-- forecast.bg_nbd_log_likelihood: how well the BG/NBD model fits what customers have bought.
-- Fader, Hardie, Lee: "Counting Your Customers" the Easy Way, Marketing Science 24 (2005), equation 6, summed where its
-- parts differ: the gamma functions by frequency, (alpha + t)^-(r + x) by t, and by pattern only what remains.
CREATE OR REPLACE FUNCTION forecast.bg_nbd_log_likelihood(logs double precision[]) RETURNS double precision
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
DECLARE
    r double precision;
    alpha double precision;
    a double precision;
    b double precision;
    highest_ratio double precision;
BEGIN
    -- Out there all customers are alike: it fits no better, and the gamma functions of neighbours no longer differ.
    IF greatest(abs(logs[1]), abs(logs[2]) - 5, abs(logs[3]), abs(logs[4])) > 7 THEN
        RETURN '-Infinity';
    END IF;
    r := exp(logs[1]);
    alpha := exp(logs[2]);
    a := exp(logs[3]);
    b := exp(logs[4]);
    -- What can be raised to the power r + 40 without being out of range.
    highest_ratio := exp(700 / (r + 40));
    -- An expression has a parallel plan, a SELECT INTO has none.
    RETURN (
        SELECT
            sum(
                frequencies.customers * (
                    lgamma(r + frequencies.frequency) - lgamma(r) + r * ln(alpha)
                    + lgamma(a + b) + lgamma(b + frequencies.frequency)
                    - lgamma(b) - lgamma(a + b + frequencies.frequency)
                )
            )
        FROM forecast.frequencies
    ) - (
        SELECT sum((r * ages.customers + ages.repeat_purchases) * ln(alpha + ages.t))
        FROM forecast.ages
    ) + coalesce((
        SELECT
            sum(
                patterns.customers * CASE
                    -- One power, and not two logarithms twice: half the time.
                    WHEN patterns.frequency <= 40
                        THEN ln(
                            1 + a / (b + patterns.frequency - 1)
                            * least((alpha + patterns.t) / (alpha + patterns.recency), highest_ratio)
                            ^ (r + patterns.frequency)
                        )
                    -- ln(1 + exp(log_odds)), where neither exp(log_odds) nor exp(-log_odds) may be out of range.
                    ELSE greatest(often.log_odds, 0) + ln(1 + exp(-least(abs(often.log_odds), 700)))
                END
            )
        FROM forecast.purchase_patterns AS patterns
        CROSS JOIN LATERAL (
            SELECT
                ln(a) - ln(b + patterns.frequency - 1)
                + (r + patterns.frequency) * (ln(alpha + patterns.t) - ln(alpha + patterns.recency)) AS log_odds
        ) AS often
    ), 0);
END $$;
COMMENT ON FUNCTION forecast.bg_nbd_log_likelihood(double precision[]) IS 'Log-likelihood of the BG/NBD model over forecast.frequencies, forecast.ages and forecast.purchase_patterns, given the logarithms of r, alpha, a and b.';
