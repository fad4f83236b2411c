-- forecast.expected_orders: how often a customer who still buys will buy in so many weeks, by the BG/NBD model.
-- Fader, Hardie, Lee (2005), equation 10, without its denominator (that is p_alive). By Euler's transformation its
-- 2F1(r + x, b + x; c; z) is (1 - z)^(a - 1 - r - x) 2F1(a - 1, g; c; z), where c = a + b + x - 1, g = a + b - 1 - r.
-- Of that series 1 goes, and a - 1 is taken out of all that remains, as is c: so nothing is divided by a - 1 or by c,
-- which may be 0, and a thousand purchases need fewer terms than one.
-- Where customers are much alike (a large r), its terms of either sign take each other away, and all digits with them.
-- There each number k of purchases that may come (negative binomial, if nobody left) is weighted with those that are
-- made of them: 1, and as many more as chances to stay, (b + x) / (a + b + x) and so on. All of that is positive.
CREATE OR REPLACE FUNCTION forecast.expected_orders(
    r double precision, alpha double precision, a double precision, b double precision,
    frequency integer, t double precision, weeks double precision
) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    z constant double precision := weeks / (alpha + t + weeks);
    log_rest constant double precision := ln((alpha + t) / (alpha + t + weeks));
    c constant double precision := a + b + frequency - 1;
    g constant double precision := a + b - 1 - r;
    power constant double precision := (a - 1) * log_rest;
    -- exp(power) - 1 as a share of power: where that is small, all digits would be lost in the difference.
    stretch constant double precision := CASE
        WHEN abs(power) < 1e-3 THEN 1 + power / 2 * (1 + power / 3 * (1 + power / 4 * (1 + power / 5)))
        ELSE (exp(greatest(power, -700)) - 1) / power
    END;
    term double precision := g * z;
    largest double precision := abs(term);
    series double precision := term;
    k double precision := 1;
    log_scale double precision := 0;
    orders double precision;
    weight double precision := 1;
    weights double precision := 1;
    made double precision := 0;
    stays double precision := 1;
BEGIN
    -- What is left out comes to less than this term by (1 - z).
    WHILE abs(term) > 1e-15 * (1 - z) * abs(series) AND k < 1000000 LOOP
        term := term * (a + k - 1) / (c + k) * (g + k) / (k + 1) * z;
        series := series + term;
        largest := greatest(largest, abs(term));
        k := k + 1;
        IF largest > 1e200 THEN
            term := term / 1e200;
            series := series / 1e200;
            largest := largest / 1e200;
            log_scale := log_scale + ln(1e200::double precision);
        END IF;
    END LOOP;
    IF power + log_scale + ln(greatest(largest, 1e-300)) < 600 THEN
        orders := -c * log_rest * stretch - exp(greatest(power + log_scale, -700)) * series;
        IF exp(greatest(power + log_scale, -700)) * largest < 1e6 * orders THEN
            RETURN orders;
        END IF;
    END IF;

    k := 0;
    orders := 0;
    WHILE (weight > 1e-17 * (1 - z) * weights OR k * (1 - z) < (r + frequency) * z) AND k < 1000000 LOOP
        weight := weight * (r + frequency + k) / (k + 1) * z;
        made := made + stays;
        stays := stays * (b + frequency + k) / (a + b + frequency + k);
        weights := weights + weight;
        orders := orders + weight * made;
        k := k + 1;
        IF weights > 1e200 THEN
            weight := weight / 1e200;
            weights := weights / 1e200;
            orders := orders / 1e200;
        END IF;
    END LOOP;
    RETURN orders / weights;
END $$;
COMMENT ON FUNCTION forecast.expected_orders(double precision, double precision, double precision, double precision, integer, double precision, double precision) IS 'Expected purchases in so many weeks of a customer who still buys, has bought frequency times after the first purchase, and first t weeks ago; for anybody, times p_alive.';
