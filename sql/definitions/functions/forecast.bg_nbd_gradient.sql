-- forecast.bg_nbd_gradient: how well the BG/NBD model fits what customers have bought, and which way it fits better.
-- Fader, Hardie, Lee: "Counting Your Customers" the Easy Way, Marketing Science 24 (2005), equation 6, and its
-- derivatives, summed where the parts differ: the gamma functions by frequency, (alpha + t)^-(r + x) by t, and one by
-- one, of whoever came back, what remains: ln(1 + odds), with the odds that the customer has left.
CREATE OR REPLACE FUNCTION forecast.bg_nbd_gradient(logs double precision[], share integer) RETURNS double precision[]
LANGUAGE plpgsql STABLE
SET search_path = ''
-- So that each share has its own plan.
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    r constant double precision := exp(logs[1]);
    alpha constant double precision := exp(logs[2]);
    a constant double precision := exp(logs[3]);
    b constant double precision := exp(logs[4]);
    often double precision [];
    aged double precision [];
    back double precision [];
BEGIN
    often := (
        SELECT
            ARRAY[
                sum(known.customers),
                sum(
                    known.customers * (
                        lgamma(r + known.frequency) - lgamma(r) + r * ln(alpha)
                        + lgamma(a + b) + lgamma(b + known.frequency)
                        - lgamma(b) - lgamma(a + b + known.frequency)
                    )
                ),
                sum(known.customers * (forecast.digamma(r + known.frequency) - forecast.digamma(r) + ln(alpha))),
                sum(known.customers * (forecast.digamma(a + b) - forecast.digamma(a + b + known.frequency))),
                sum(known.customers * (forecast.digamma(b + known.frequency) - forecast.digamma(b)))
            ]
        FROM forecast.cohorts AS known
        WHERE known.share = bg_nbd_gradient.share AND known.t IS NULL
    );
    aged := (
        SELECT
            ARRAY[
                sum((r * known.customers + known.repeat_purchases) * ln(alpha + known.t)),
                sum(known.customers * ln(alpha + known.t)),
                sum((r * known.customers + known.repeat_purchases) / (alpha + known.t))
            ]
        FROM forecast.cohorts AS known
        WHERE known.share = bg_nbd_gradient.share AND known.frequency IS NULL
    );
    -- What is executed has a parallel plan, an expression has none.
    EXECUTE $sql$
        SELECT
            ARRAY[
                -- As ln(1 + odds) is ln(odds) where these are out of range.
                sum(ln(1 + judged.odds) + greatest(judged.power - 690, 0)),
                sum(judged.odds / (1 + judged.odds)),
                sum(judged.odds / (1 + judged.odds) * judged.log_ratio),
                sum(judged.odds / (1 + judged.odds) * judged.by_alpha),
                sum(judged.odds / (1 + judged.odds) * judged.by_b)
            ]
        FROM (
            SELECT
                known.power,
                known.log_ratio,
                known.by_alpha,
                known.by_b,
                known.a * known.by_b * exp(least(known.power, 690)) AS odds
            FROM (
                SELECT
                    given.a,
                    (given.r + x.frequency) * ln((given.alpha + x.t) / (given.alpha + x.recency)) AS power,
                    ln((given.alpha + x.t) / (given.alpha + x.recency)) AS log_ratio,
                    (given.r + x.frequency) * (1 / (given.alpha + x.t) - 1 / (given.alpha + x.recency)) AS by_alpha,
                    1 / (given.b + x.frequency - 1) AS by_b
                FROM (SELECT $1 AS r, $2 AS alpha, $3 AS a, $4 AS b) AS given
                CROSS JOIN forecast.repeat_buyers AS x
                WHERE x.sample <= $5
                -- Nothing twice.
                OFFSET '0'
            ) AS known
            OFFSET '0'
        ) AS judged
    $sql$ INTO back USING r, alpha, a, b, share;
    -- Where nobody has come back.
    back := coalesce(back, '{}');
    FOR i IN 1..5 LOOP
        back[i] := coalesce(back[i], 0);
    END LOOP;
    RETURN ARRAY[
        (often[2] - aged[1] + back[1]) / often[1],
        r * (often[3] - aged[2] + back[3]) / often[1],
        (r * often[1] + alpha * (back[4] - aged[3])) / often[1],
        (a * often[4] + back[2]) / often[1],
        b * (often[4] + often[5] - back[5]) / often[1]
    ];
END $$;
COMMENT ON FUNCTION forecast.bg_nbd_gradient(double precision[], integer) IS 'Mean log-likelihood of the BG/NBD model over a share of the customers (forecast.sample_of), given the logarithms of r, alpha, a and b, and its derivatives by these four.';
