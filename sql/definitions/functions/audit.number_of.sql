-- audit.number_of: the number that a text is, however it is written: 7, 007, +7 and 7.0 are one; or NULL.
CREATE OR REPLACE FUNCTION audit.number_of(value text) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- In SQL the planner would try the cast of a value that it knows before it looks whether it can.
    IF pg_input_is_valid(audit.bare(value), 'numeric') THEN
        RETURN audit.bare(value)::numeric;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.number_of(text) IS 'The number that a text is, however it is written: 7, 007, +7 and 7.0 are one; NULL where it is none.';
