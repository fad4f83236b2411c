-- audit.be_alone: wait until nobody else begins, undoes, erases or writes core or marts by hand, and keep them waiting.
CREATE OR REPLACE FUNCTION audit.be_alone() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
BEGIN
    PERFORM audit.refuse_old_snapshots();
    PERFORM pg_advisory_xact_lock(audit.begin_lock());
END $$;
COMMENT ON FUNCTION audit.be_alone() IS 'Wait until nobody else begins a run, undoes one, erases a customer, or writes core or marts by hand, and keep them waiting until this transaction ends.';
