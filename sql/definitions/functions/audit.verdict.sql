-- audit.verdict: judge a claim, keep the verdict, say it; false only where it failed.
CREATE OR REPLACE FUNCTION audit.verdict(
    claim text,
    bad_rows numeric,
    checked_rows numeric,
    fail_over numeric DEFAULT 0,
    warn_over numeric DEFAULT NULL,
    example text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    share constant numeric := bad_rows / nullif(checked_rows, 0);
    entered constant integer := nullif(current_setting('ltv.run_no', true), '');
    verdict text;
    said text;
BEGIN
    -- Written so that a NULL fails: a claim that could not be measured has not been kept.
    IF share <= fail_over AND bad_rows >= 0 THEN
        verdict := CASE WHEN share > warn_over THEN 'warned' ELSE 'passed' END;
    ELSE
        verdict := 'failed';
    END IF;
    said := format(
        '%s %s: %s%s%s', claim, verdict,
        CASE
            WHEN coalesce(checked_rows, 0) = 0 THEN 'nothing to check'
            ELSE format('%s of %s bad', coalesce(bad_rows::text, 'an unknown number'), checked_rows)
        END,
        CASE WHEN verdict = 'failed' AND fail_over > 0 THEN format(', %s %% allowed', trim_scale(fail_over * 100)) END,
        CASE WHEN verdict <> 'passed' THEN ', e.g. ' || example END
    );
    RAISE NOTICE '%', said;
    IF verdict = 'passed' THEN
        example := NULL;
    END IF;

    IF entered IS NOT NULL THEN
        INSERT INTO audit.check_results (
            run_no, claim, verdict, bad_rows, checked_rows, observed_share, fail_over, warn_over, example, said
        ) VALUES (
            entered, claim, verdict, coalesce(bad_rows, 0), coalesce(checked_rows, 0), share,
            coalesce(fail_over, 0), warn_over, example, said
        )
        ON CONFLICT ON CONSTRAINT check_results_pkey DO UPDATE
        SET
            verdict = excluded.verdict,
            bad_rows = excluded.bad_rows,
            checked_rows = excluded.checked_rows,
            observed_share = excluded.observed_share,
            fail_over = excluded.fail_over,
            warn_over = excluded.warn_over,
            example = excluded.example,
            said = excluded.said,
            checked_at = excluded.checked_at;
        PERFORM audit.leave_run(claim, NULL);
    END IF;
    RETURN verdict <> 'failed';
END $$;
COMMENT ON FUNCTION audit.verdict(text, numeric, numeric, numeric, numeric, text) IS 'Judge a claim, keep the verdict in audit.check_results, say it in a NOTICE; false only where it failed. Nothing to check is a failure.';
