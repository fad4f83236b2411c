-- audit.verdict: judge a claim, keep the verdict, say it; false only where it failed and nobody has signed for that.
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
    granted audit.overrides;
    same_as_run_no integer;
BEGIN
    IF nullif(current_setting('ltv.task', true), '') <> claim THEN
        RAISE EXCEPTION 'the claim of % is called %: call it like its file', current_setting('ltv.task'), claim;
    END IF;
    -- A delivery that was not loaded again, being the last one's equal, has nothing that was not checked then.
    IF coalesce(checked_rows, 0) = 0 AND claim ~ '^(raw|staging)[.]' THEN
        SELECT loads.same_as_run_no INTO same_as_run_no
        FROM audit.loads
        INNER JOIN audit.sources ON loads.source = sources.source
        WHERE
            loads.run_no = (SELECT audit.run_no())
            AND split_part(split_part(claim, '.', 2), '__', 1) IN (sources.source, sources.entity)
        LIMIT 1;
    END IF;
    -- Written so that a NULL fails, and what is no count of rows: a claim that could not be measured has not been kept.
    IF same_as_run_no IS NOT NULL THEN
        verdict := 'passed';
    ELSIF
        share <= fail_over
        AND fail_over <> 'NaN'
        AND bad_rows >= 0
        AND bad_rows < 'Infinity'
        AND checked_rows > 0
        AND checked_rows < 'Infinity'
    THEN
        verdict := CASE WHEN share > warn_over THEN 'warned' ELSE 'passed' END;
    ELSE
        verdict := 'failed';
    END IF;
    IF verdict = 'failed' THEN
        SELECT overrides.* INTO granted
        FROM audit.overrides
        WHERE overrides.claim = $1 AND clock_timestamp() < overrides.expires_at
        ORDER BY overrides.override_id DESC
        LIMIT 1;
        verdict := CASE WHEN granted.override_id IS NULL THEN 'failed' ELSE 'overridden' END;
    END IF;
    said := format(
        '%s %s: %s%s%s%s', claim, verdict,
        CASE
            WHEN same_as_run_no IS NOT NULL THEN format('nothing new to check, the delivery is that of run_no %s', same_as_run_no)
            WHEN coalesce(checked_rows, 0) = 0 THEN 'nothing to check'
            ELSE format('%s of %s bad', coalesce(bad_rows::text, 'an unknown number'), checked_rows)
        END,
        CASE WHEN verdict IN ('failed', 'overridden') AND fail_over > 0 AND checked_rows > 0 THEN format(', %s %% allowed', trim_scale(round(fail_over * 100, 4))) END,
        CASE WHEN verdict <> 'passed' THEN ', e.g. ' || example END,
        CASE
            WHEN verdict = 'overridden'
                THEN format(
                    ' (until %s signed by %s: %s)',
                    to_char(granted.expires_at, 'YYYY-MM-DD HH24:MI TZ'), granted.signed_by, granted.reason
                )
        END
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
    ELSIF claim LIKE 'forecast.%' THEN
        -- Outside of any run.
        INSERT INTO forecast.check_results (as_of, claim, verdict, bad_rows, checked_rows, said)
        SELECT freshness.as_of, claim, verdict, coalesce(bad_rows, 0), coalesce(checked_rows, 0), said
        FROM marts.freshness
        ON CONFLICT ON CONSTRAINT check_results_pkey DO UPDATE
        SET
            verdict = excluded.verdict,
            bad_rows = excluded.bad_rows,
            checked_rows = excluded.checked_rows,
            said = excluded.said,
            checked_at = excluded.checked_at;
    END IF;
    RETURN verdict <> 'failed';
END $$;
COMMENT ON FUNCTION audit.verdict(text, numeric, numeric, numeric, numeric, text) IS 'Judge a claim, keep the verdict in audit.check_results (the forecast''s: in forecast.check_results), say it in a NOTICE; false only where it failed and no override of the claim holds. Nothing to check is a failure, unless the delivery is the last one''s equal.';
