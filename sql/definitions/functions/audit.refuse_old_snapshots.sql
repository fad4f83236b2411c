-- audit.refuse_old_snapshots: refuse a transaction that does not see what others have done since it began.
CREATE OR REPLACE FUNCTION audit.refuse_old_snapshots() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = ''
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a transaction that is % does not see a run that has begun since',
            upper(current_setting('transaction_isolation'))
            USING HINT = 'Do it in one that is READ COMMITTED.';
    END IF;
END $$;
COMMENT ON FUNCTION audit.refuse_old_snapshots() IS 'Refuse a transaction that does not see what others have done since it began: it is not READ COMMITTED.';
