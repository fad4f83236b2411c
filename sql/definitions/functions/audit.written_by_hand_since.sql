-- audit.written_by_hand_since: whether somebody has written core outside of any run, in or after a given one's time.
CREATE OR REPLACE FUNCTION audit.written_by_hand_since(run_no integer) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT EXISTS (
        SELECT FROM audit.hand_writes
        WHERE
            hand_writes.run_no >= written_by_hand_since.run_no
            AND starts_with(hand_writes.table_name, 'core.')
    )
$$;
COMMENT ON FUNCTION audit.written_by_hand_since(integer) IS 'Whether somebody has written core outside of any run (audit.hand_writes) since a given run began.';
