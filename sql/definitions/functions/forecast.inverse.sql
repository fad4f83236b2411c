-- forecast.inverse: the inverse of a symmetric, positive definite matrix; NULL of another.
-- Gauss and Jordan's elimination: in such a matrix every pivot, in its place, is above 0.
CREATE OR REPLACE FUNCTION forecast.inverse(matrix double precision[]) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = ''
AS $$
DECLARE
    size constant integer := array_length(matrix, 1);
    pivot double precision;
    factor double precision;
BEGIN
    FOR i IN 1..size LOOP
        pivot := matrix[i][i];
        IF pivot > 1e-9 THEN
            matrix[i][i] := 1;
            FOR k IN 1..size LOOP
                matrix[i][k] := matrix[i][k] / pivot;
            END LOOP;
        ELSE
            RETURN NULL;
        END IF;
        FOR j IN 1..size LOOP
            IF j <> i THEN
                factor := matrix[j][i];
                matrix[j][i] := 0;
                FOR k IN 1..size LOOP
                    matrix[j][k] := matrix[j][k] - factor * matrix[i][k];
                END LOOP;
            END IF;
        END LOOP;
    END LOOP;
    RETURN matrix;
END $$;
COMMENT ON FUNCTION forecast.inverse(double precision[]) IS 'Inverse of a symmetric, positive definite matrix; NULL of any other.';
