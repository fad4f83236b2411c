-- audit.alerts: what must be told of a run that has ended: that it failed, rejects above their limit, lasting warnings.
-- Nothing that it says may leave the house names a customer: no example, no field, no line.
CREATE OR REPLACE FUNCTION audit.alerts(dag_run_id text) RETURNS TABLE (subject text, body text)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    WITH ended AS (
        SELECT
            runs.run_no,
            runs.dag_run_id,
            runs.as_of,
            runs.state,
            -- It begins with the task, or with the claim: audit.fail_run.
            regexp_replace(split_part(coalesce(runs.reason, ''), ':', 1), ' failed$', '') AS task,
            audit.without_example(runs.reason) AS reason,
            CASE
                WHEN EXISTS (SELECT FROM marts.freshness WHERE freshness.run_no = runs.run_no)
                    THEN 'it has published all the same: '
                ELSE 'it has published nothing: '
            END || audit.readers_see() AS published,
            format(
                'echo "SELECT reason FROM audit.runs WHERE run_no = %1$s UNION ALL '
                'SELECT said FROM audit.check_results WHERE run_no = %1$s AND verdict <> ''passed''" | make -s psql',
                runs.run_no
            ) AS look
        FROM audit.runs
        WHERE runs.dag_run_id = alerts.dag_run_id
    ),

    over_limit AS (
        SELECT
            check_results.run_no,
            string_agg(check_results.claim, ', ' ORDER BY check_results.claim) AS claims,
            string_agg(audit.without_example(check_results.said), '; ' ORDER BY check_results.claim) AS said,
            bool_or(check_results.verdict = 'failed') AS has_failed
        FROM audit.check_results
        WHERE
            check_results.claim LIKE '%\_\_rejects\_within\_limit'
            AND check_results.verdict IN ('failed', 'overridden')
        GROUP BY check_results.run_no
    )

    SELECT
        format('customer_ltv: %s, as of %s', ended.state, ended.as_of) AS subject,
        audit.alert_body(
            what => format('run %s %s; %s', ended.run_no, ended.state, ended.published),
            place => format(
                'DAG run %s, task %s, as of %s',
                ended.dag_run_id, CASE ended.state WHEN 'failed' THEN ended.task ELSE 'any' END, ended.as_of
            ),
            why => ended.reason,
            look => ended.look
        ) AS body
    FROM ended
    WHERE
        ended.state IN ('failed', 'abandoned')
        -- The next one says so too.
        AND ended.task NOT LIKE '%\_\_rejects\_within\_limit'
    UNION ALL
    SELECT
        format('customer_ltv: rejects above their limit, as of %s', ended.as_of) AS subject,
        audit.alert_body(
            what => CASE
                WHEN over_limit.has_failed THEN format('run %s failed; %s', ended.run_no, ended.published)
                ELSE format('run %s goes on over it: somebody has signed for that', ended.run_no)
            END,
            place => format('DAG run %s, task %s, as of %s', ended.dag_run_id, over_limit.claims, ended.as_of),
            why => over_limit.said,
            look => 'echo ''TABLE audit.rejections_today'' | make -s psql'
        ) AS body
    FROM ended
    INNER JOIN over_limit ON ended.run_no = over_limit.run_no
    UNION ALL
    SELECT
        format(
            'customer_ltv: %s has warned %s days in a row, as of %s',
            lasting_warnings.claim, lasting_warnings.days, ended.as_of
        ) AS subject,
        audit.alert_body(
            what => format('a check warns since %s; nothing stops for that', lasting_warnings.warns_since),
            place => format('DAG run %s, task %s, as of %s', ended.dag_run_id, lasting_warnings.claim, ended.as_of),
            why => audit.without_example(lasting_warnings.said),
            look => ended.look
        ) AS body
    FROM ended
    INNER JOIN audit.lasting_warnings ON ended.run_no = lasting_warnings.last_run_no
    WHERE lasting_warnings.days >= 3
$$;
COMMENT ON FUNCTION audit.alerts(text) IS 'What must be told of a run that has ended: that it failed or was abandoned, rejects above their limit, a check that has warned three days in a row. No personal data. One row per alert; none when all is well.';
