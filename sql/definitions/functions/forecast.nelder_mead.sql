-- forecast.nelder_mead: climb to where a function of a few numbers is highest, without its derivatives.
-- Nelder, Mead: A Simplex Method for Function Minimization, The Computer Journal 7 (1965), the other way up.
CREATE OR REPLACE FUNCTION forecast.nelder_mead(
    height_of regproc, start double precision[], step double precision DEFAULT 0.5,
    OUT top double precision[], OUT height double precision, OUT iterations integer, OUT is_found boolean
)
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
DECLARE
    ask constant text := format('SELECT %s($1)', height_of);
    dimensions constant integer := cardinality(start);
    -- A corner is a row; its height stands beside it.
    corners double precision [] := array_fill(0::double precision, ARRAY[dimensions + 1, dimensions]);
    heights double precision [];
    in_order integer [];
    best integer;
    worst integer;
    spread double precision;
    centre double precision [];
    point double precision [];
    further double precision [];
    point_height double precision;
    further_height double precision;
BEGIN
    FOR corner IN 1..dimensions + 1 LOOP
        point := start;
        IF corner > 1 THEN
            point[corner - 1] := point[corner - 1] + step;
        END IF;
        EXECUTE ask INTO point_height USING point;
        heights[corner] := point_height;
        FOR i IN 1..dimensions LOOP
            corners[corner][i] := point[i];
        END LOOP;
    END LOOP;

    iterations := 0;
    LOOP
        in_order := ARRAY(
            SELECT known.corner
            FROM unnest(heights) WITH ORDINALITY AS known (height, corner)
            ORDER BY known.height DESC, known.corner
        );
        best := in_order[1];
        worst := in_order[dimensions + 1];
        spread := 0;
        FOR corner IN 1..dimensions + 1 LOOP
            FOR i IN 1..dimensions LOOP
                spread := greatest(spread, abs(corners[corner][i] - corners[best][i]));
            END LOOP;
        END LOOP;
        is_found := spread < 1e-6;
        EXIT WHEN is_found OR iterations = 2000;
        iterations := iterations + 1;

        -- Away from the worst corner, through the middle of the others.
        FOR i IN 1..dimensions LOOP
            centre[i] := -corners[worst][i] / dimensions;
            FOR corner IN 1..dimensions + 1 LOOP
                centre[i] := centre[i] + corners[corner][i] / dimensions;
            END LOOP;
            point[i] := 2 * centre[i] - corners[worst][i];
        END LOOP;
        EXECUTE ask INTO point_height USING point;

        IF point_height > heights[best] OR point_height <= heights[in_order[dimensions]] THEN
            -- On in the direction that is good, or back towards the middle, on the better side of it.
            FOR i IN 1..dimensions LOOP
                further[i] := centre[i] + CASE
                    WHEN point_height > heights[best] THEN 2
                    WHEN point_height > heights[worst] THEN 0.5
                    ELSE -0.5
                END * (centre[i] - corners[worst][i]);
            END LOOP;
            EXECUTE ask INTO further_height USING further;
            IF further_height > point_height THEN
                point := further;
                point_height := further_height;
            END IF;
        END IF;

        IF point_height > heights[worst] THEN
            heights[worst] := point_height;
            FOR i IN 1..dimensions LOOP
                corners[worst][i] := point[i];
            END LOOP;
        ELSE
            -- No way up from here in such strides: all half way towards the best.
            FOR corner IN 1..dimensions + 1 LOOP
                IF corner <> best THEN
                    FOR i IN 1..dimensions LOOP
                        point[i] := (corners[corner][i] + corners[best][i]) / 2;
                        corners[corner][i] := point[i];
                    END LOOP;
                    EXECUTE ask INTO point_height USING point;
                    heights[corner] := point_height;
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    height := heights[best];
    FOR i IN 1..dimensions LOOP
        top[i] := corners[best][i];
    END LOOP;
END $$;
COMMENT ON FUNCTION forecast.nelder_mead(regproc, double precision[], double precision) IS 'Climb from a start, with a first step in each direction, to where a function of a few numbers is highest; is_found is false where 2,000 steps were not enough to get within 1e-6 of it in each.';
