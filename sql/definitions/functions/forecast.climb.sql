-- forecast.climb: climb to where a function of a few numbers is highest, by its derivatives.
-- Broyden, Fletcher, Goldfarb, Shanno (Nocedal, Wright: Numerical Optimization, 2006, chapter 6): a step goes to where
-- a parabola has its top, and how the ground bends is learned from how its slope has changed. First over few of the
-- customers: from their top the way to that of all is short, and there the bend is measured, by a step each way.
CREATE OR REPLACE FUNCTION forecast.climb(
    gradient_of regproc, start double precision[], limits double precision[],
    OUT top double precision[], OUT height double precision, OUT iterations integer, OUT is_found boolean
)
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
DECLARE
    ask constant text := format('SELECT %s($1, $2)', gradient_of);
    dimensions constant integer := cardinality(start);
    shares integer [];
    share integer;
    -- The height, and then the slope in each direction.
    here double precision [];
    there double precision [];
    point double precision [];
    -- Minus the second derivatives, and their inverse.
    bend double precision [];
    inverse double precision [];
    is_at_limit boolean [];
    stride double precision [];
    -- How far a step goes at most, and went.
    longest double precision;
    before double precision;
    part double precision;
    gain double precision;
    most double precision;
    -- By how much the slope has changed, and what the inverse makes of that.
    change double precision [];
    bent double precision [];
    curvature double precision;
    bent_twice double precision;
BEGIN
    shares := ARRAY(
        SELECT cohorts.share
        FROM forecast.cohorts
        WHERE cohorts.t IS NULL
        GROUP BY cohorts.share
        HAVING cohorts.share = 100 OR sum(cohorts.customers) FILTER (WHERE cohorts.frequency > 0) >= 2000
        ORDER BY cohorts.share
    );
    -- Over the fewest twice: before the bend is measured, and after.
    shares := shares[1] || shares;
    top := start;
    iterations := 0;
    FOR turn IN 1..cardinality(shares) LOOP
        share := shares[turn];
        EXECUTE ask INTO here USING top, share;
        FOR i IN 1..dimensions LOOP
            is_at_limit[i] := abs(top[i]) >= limits[i] AND top[i] * here[i + 1] >= 0;
        END LOOP;
        IF turn <= 2 OR turn < cardinality(shares) THEN
            bend := array_fill(0::double precision, ARRAY[dimensions, dimensions]);
            FOR i IN 1..dimensions LOOP
                bend[i][i] := 1;
            END LOOP;
            inverse := coalesce(inverse, bend);
        END IF;
        IF turn > 1 AND (turn = 2 OR turn < cardinality(shares)) THEN
            FOR i IN 1..dimensions LOOP
                IF NOT is_at_limit[i] THEN
                    -- Towards the inside.
                    part := CASE WHEN top[i] > 0 THEN -1e-3 ELSE 1e-3 END;
                    point := top;
                    point[i] := point[i] + part;
                    EXECUTE ask INTO there USING point, share;
                    FOR j IN 1..dimensions LOOP
                        IF NOT is_at_limit[j] THEN
                            bend[i][j] := (here[j + 1] - there[j + 1]) / part;
                        END IF;
                    END LOOP;
                END IF;
            END LOOP;
            FOR i IN 1..dimensions LOOP
                FOR j IN 1..i - 1 LOOP
                    bend[i][j] := (bend[i][j] + bend[j][i]) / 2;
                    bend[j][i] := bend[i][j];
                END LOOP;
            END LOOP;
            -- Where it is no top, what was learned has to do.
            inverse := coalesce(forecast.inverse(bend), inverse);
        END IF;

        before := 1;
        LOOP
            FOR i IN 1..dimensions LOOP
                is_at_limit[i] := abs(top[i]) >= limits[i] AND top[i] * here[i + 1] >= 0;
            END LOOP;
            longest := 0;
            FOR i IN 1..dimensions LOOP
                stride[i] := 0;
                FOR j IN 1..dimensions LOOP
                    IF NOT (is_at_limit[i] OR is_at_limit[j]) THEN
                        stride[i] := stride[i] + inverse[i][j] * here[j + 1];
                    END IF;
                END LOOP;
                longest := greatest(longest, abs(stride[i]));
            END LOOP;
            -- Not further than by a factor of e; and back where it has not gone up as it should have.
            part := least(1, 1 / greatest(longest, 1e-9));
            longest := 0;
            most := 0;
            LOOP
                gain := 0;
                FOR i IN 1..dimensions LOOP
                    point[i] := greatest(-limits[i], least(limits[i], top[i] + part * stride[i]));
                    longest := greatest(longest, abs(point[i] - top[i]));
                    gain := gain + (point[i] - top[i]) * here[i + 1];
                END LOOP;
                most := greatest(most, gain);
                -- After this step as much of it remains as, by what remained of the one before, does.
                is_found := longest * CASE WHEN turn = 1 THEN 1e-2 ELSE least(1, longest / before) END
                < CASE WHEN share = 100 THEN 1e-6 ELSE 1e-3 END;
                EXIT WHEN is_found OR iterations = 500 OR part < 1e-9;
                EXECUTE ask INTO there USING point, share;
                EXIT WHEN there[1] >= here[1] + 1e-4 * gain;
                part := part / 4;
            END LOOP;
            EXIT WHEN is_found OR iterations = 500 OR part < 1e-9;
            iterations := iterations + 1;
            before := longest;

            FOR i IN 1..dimensions LOOP
                stride[i] := point[i] - top[i];
                change[i] := CASE WHEN is_at_limit[i] THEN 0 ELSE here[i + 1] - there[i + 1] END;
            END LOOP;
            curvature := 0;
            bent_twice := 0;
            FOR i IN 1..dimensions LOOP
                bent[i] := 0;
                FOR j IN 1..dimensions LOOP
                    bent[i] := bent[i] + inverse[i][j] * change[j];
                END LOOP;
                curvature := curvature + stride[i] * change[i];
                bent_twice := bent_twice + change[i] * bent[i];
            END LOOP;
            IF curvature > 0 THEN
                FOR i IN 1..dimensions LOOP
                    FOR j IN 1..dimensions LOOP
                        inverse[i][j] := inverse[i][j]
                        + (1 + bent_twice / curvature) * stride[i] * stride[j] / curvature
                        - (bent[i] * stride[j] + stride[i] * bent[j]) / curvature;
                    END LOOP;
                END LOOP;
            END IF;
            top := point;
            here := there;
        END LOOP;
        -- Where no step leads up, but none was to lead up by what differs from 0: so near the top heights are rounded.
        is_found := is_found OR (part < 1e-9 AND most < 1e-9);
        -- Where the first turn ends without a top, the bend may show the way.
        EXIT WHEN NOT is_found AND turn > 1;
    END LOOP;
    top := point;
    height := here[1] + gain / 2;
END $$;
COMMENT ON FUNCTION forecast.climb(regproc, double precision[], double precision[]) IS 'Climb from a start to where a function of a few numbers is highest, none of them beyond its limit on either side of 0; the function returns its height and its slopes over a share of the customers (forecast.cohorts). is_found is false where 500 steps were not enough.';
