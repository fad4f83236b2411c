-- audit.refuse_unless_tried: refuse a statement by hand that is a transaction of its own, and would be kept.
CREATE OR REPLACE FUNCTION audit.refuse_unless_tried() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
BEGIN
    IF
        NOT audit.in_a_run()
        -- The same instant: this statement has begun the transaction.
        AND transaction_timestamp() = statement_timestamp()
    THEN
        RAISE EXCEPTION 'a file is run by hand to try it: this would be kept'
            USING HINT = 'BEGIN first, then the file, look around, ROLLBACK.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.refuse_unless_tried() IS 'Refuse a statement by hand, outside of any run, that is a transaction of its own and would be kept.';
