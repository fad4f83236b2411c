-- audit.override: let a claim be false for some hours; who signs for it, and why, is kept.
CREATE OR REPLACE FUNCTION audit.override(
    claim text, signed_by text, reason text, hours integer DEFAULT 12
) RETURNS timestamp with time zone
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    INSERT INTO audit.overrides (claim, signed_by, reason, expires_at)
    VALUES (override.claim, override.signed_by, override.reason, now() + make_interval(hours => override.hours))
    RETURNING expires_at;
$$;
COMMENT ON FUNCTION audit.override(text, text, text, integer) IS 'Let a claim be false for some hours, a week at most; returns until when. The next run keeps the verdict "overridden".';
