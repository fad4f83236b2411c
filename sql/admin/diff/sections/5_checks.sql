-- Checks: those whose verdict changes.
WITH verdicts AS (
    SELECT
        'base' AS side,
        check_results.claim,
        check_results.verdict,
        check_results.said,
        check_results.checked_at
    FROM audit.check_results
    UNION ALL
    SELECT
        'edited' AS side,
        check_results.claim,
        check_results.verdict,
        check_results.said,
        check_results.checked_at
    FROM edited.audit__check_results AS check_results
    UNION ALL
    SELECT
        'base' AS side,
        check_results.claim,
        check_results.verdict,
        check_results.said,
        check_results.checked_at
    FROM forecast.check_results
    UNION ALL
    SELECT
        'edited' AS side,
        check_results.claim,
        check_results.verdict,
        check_results.said,
        check_results.checked_at
    FROM edited.forecast__check_results AS check_results
)

SELECT
    verdicts.claim,
    max(verdicts.verdict) FILTER (WHERE verdicts.side = 'base') AS base_verdict,
    max(verdicts.verdict) FILTER (WHERE verdicts.side = 'edited') AS edited_verdict,
    coalesce(
        max(verdicts.said) FILTER (WHERE verdicts.side = 'edited'),
        max(verdicts.said) FILTER (WHERE verdicts.side = 'base')
    ) AS said
FROM verdicts
-- Those of before are of the warehouse's own runs and forecasts, of the same day maybe.
WHERE
    verdicts.checked_at >= (SELECT runs.started_at FROM audit.runs WHERE runs.run_no = (SELECT audit.run_no()))
GROUP BY verdicts.claim
HAVING
    max(verdicts.verdict) FILTER (WHERE verdicts.side = 'base')
    IS DISTINCT FROM max(verdicts.verdict) FILTER (WHERE verdicts.side = 'edited')
ORDER BY verdicts.claim;
