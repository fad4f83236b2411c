-- audit.withdraw_override: from now on the claim has to hold again.
CREATE OR REPLACE FUNCTION audit.withdraw_override(claim text) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    WITH withdrawn AS (
        UPDATE audit.overrides
        SET expires_at = clock_timestamp()
        WHERE overrides.claim = withdraw_override.claim AND overrides.expires_at > clock_timestamp()
        RETURNING overrides.override_id
    )

    SELECT count(*) FROM withdrawn;
$$;
COMMENT ON FUNCTION audit.withdraw_override(text) IS 'From now on the claim has to hold again; returns how many overrides of it were still running.';
