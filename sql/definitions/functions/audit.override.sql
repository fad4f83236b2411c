-- audit.override: let a claim be false for some hours; who signs for it, and why, is kept.
CREATE OR REPLACE FUNCTION audit.override(
    claim text, signed_by text, reason text, hours integer DEFAULT 12
) RETURNS timestamp with time zone
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    until constant timestamp with time zone := now() + make_interval(hours => override.hours);
BEGIN
    IF NOT EXISTS (SELECT FROM audit.check_results WHERE check_results.claim = override.claim) THEN
        RAISE EXCEPTION 'no run has ever judged a claim %', override.claim
            USING HINT = 'The claims of the last run: SELECT claim, verdict FROM audit.check_results '
            'WHERE run_no = (SELECT max(run_no) FROM audit.check_results).';
    END IF;
    IF override.claim LIKE '%\_\_reconciles' THEN
        RAISE EXCEPTION 'nobody publishes over %: rows or money would be lost', override.claim
            USING HINT = 'Look at audit.ledger and audit.loads.';
    END IF;
    IF btrim(coalesce(override.signed_by, '')) = '' OR btrim(coalesce(override.reason, '')) = '' THEN
        RAISE EXCEPTION 'an override is signed and has a reason';
    END IF;
    IF (override.hours BETWEEN 1 AND 168) IS NOT true THEN
        RAISE EXCEPTION 'an override holds for 1 to 168 hours, a week at most';
    END IF;
    INSERT INTO audit.overrides (claim, signed_by, reason, expires_at)
    VALUES (override.claim, btrim(override.signed_by), btrim(override.reason), until);
    RETURN until;
END $$;
COMMENT ON FUNCTION audit.override(text, text, text, integer) IS 'Let a claim be false for some hours, a week at most; returns until when. The next run keeps the verdict "overridden". Refused for reconciliations.';
