-- Checks: those whose verdict changes.
WITH edited AS (
    SELECT
        check_results.claim,
        check_results.verdict,
        check_results.said
    FROM edited.audit__check_results AS check_results
    WHERE check_results.run_no = (SELECT audit.run_no())
    UNION ALL
    SELECT
        check_results.claim,
        check_results.verdict,
        check_results.said
    FROM edited.forecast__check_results AS check_results
    -- One of the same day that the warehouse has judged is none of this run's.
    WHERE
        check_results.checked_at
        >= (SELECT runs.started_at FROM audit.runs WHERE runs.run_no = (SELECT audit.run_no()))
),

verdicts AS (
    SELECT
        base.verdict AS base_verdict,
        edited.verdict AS edited_verdict,
        coalesce(base.claim, edited.claim) AS claim,
        coalesce(edited.said, base.said) AS said
    FROM (
        SELECT
            check_results.claim,
            check_results.verdict,
            check_results.said
        FROM audit.check_results
        WHERE check_results.run_no = (SELECT audit.run_no())
        UNION ALL
        SELECT
            check_results.claim,
            check_results.verdict,
            check_results.said
        FROM forecast.check_results
        WHERE
            check_results.checked_at
            >= (SELECT runs.started_at FROM audit.runs WHERE runs.run_no = (SELECT audit.run_no()))
    ) AS base
    FULL JOIN edited ON base.claim = edited.claim
)

SELECT
    verdicts.claim,
    verdicts.base_verdict,
    verdicts.edited_verdict,
    verdicts.said
FROM verdicts
WHERE verdicts.base_verdict IS DISTINCT FROM verdicts.edited_verdict
ORDER BY verdicts.claim;
