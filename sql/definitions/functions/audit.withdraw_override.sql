-- audit.withdraw_override: from now on the claim has to hold again.
CREATE OR REPLACE FUNCTION audit.withdraw_override(claim text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    withdrawn bigint;
BEGIN
    UPDATE audit.overrides
    SET expires_at = clock_timestamp()
    WHERE overrides.claim = withdraw_override.claim AND overrides.expires_at > clock_timestamp();
    GET DIAGNOSTICS withdrawn = ROW_COUNT;
    IF withdrawn = 0 THEN
        RAISE NOTICE 'no override of % is running', withdraw_override.claim;
    END IF;
    RETURN withdrawn;
END $$;
COMMENT ON FUNCTION audit.withdraw_override(text) IS 'From now on the claim has to hold again; returns how many overrides of it were still running.';
