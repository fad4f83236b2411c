-- marts.why: the story of one customer's number: what counts, what does not and why, and what has changed.
-- It reads core and audit for whoever may not; of the person it says the country, and nothing else.
CREATE OR REPLACE FUNCTION marts.why(customer_id bigint) RETURNS TABLE (topic text, said text)
LANGUAGE sql STABLE SECURITY DEFINER
-- What is not named comes first: a type text of the caller's own, with a CHECK, would work with the owner's rights.
SET search_path = pg_catalog, pg_temp
AS $$
    WITH published AS (
        SELECT
            customer_ltv.*,
            round(12 * customer_ltv.total_orders / nullif(customer_ltv.orders_per_year, 0)) AS months
        FROM marts.customer_ltv
        WHERE customer_ltv.customer_id = why.customer_id
    ),

    -- The last publish that changed it, and the row as it stood before.
    changes AS (
        SELECT
            history.*,
            row_number() OVER (ORDER BY history.change_no DESC) AS nth
        FROM marts.customer_ltv_history AS history
        WHERE history.customer_id = why.customer_id
    ),

    runs_of_change AS (
        SELECT
            runs.run_no,
            runs.dag_run_id,
            runs.as_of,
            runs.fingerprint,
            earlier.run_no AS earlier_run_no,
            earlier.fingerprint AS earlier_fingerprint
        FROM changes
        INNER JOIN audit.runs ON changes.run_no = runs.run_no
        LEFT JOIN LATERAL (
            SELECT
                before.run_no,
                before.fingerprint
            FROM audit.runs AS before
            WHERE before.run_no < runs.run_no AND before.state = 'published'
            ORDER BY before.run_no DESC
            LIMIT 1
        ) AS earlier ON true
        WHERE changes.nth = 1
    ),

    net_payments AS (
        SELECT
            payments.order_id,
            sum(payments.amount) AS amount,
            bool_or(payments.amount < 0) AS has_refund,
            max(payments.run_no) AS run_no,
            string_agg(
                format('%s on %s', payments.amount, payments.payment_date), ', '
                ORDER BY payments.payment_date, payments.payment_id
            ) AS listed
        FROM core.payments
        WHERE payments.customer_id = why.customer_id
        GROUP BY payments.order_id
    ),

    orders_looked_at AS (
        SELECT
            orders.order_id,
            orders.order_date,
            greatest(orders.run_no, net_payments.run_no) AS run_no,
            coalesce(core.a_paid_order(net_payments.amount, orders.price), false) AS counts,
            format('order %s of %s, price %s', orders.order_id, orders.order_date, orders.price) AS name,
            net_payments.amount,
            net_payments.has_refund,
            net_payments.listed
        FROM core.orders
        LEFT JOIN net_payments ON orders.order_id = net_payments.order_id
        WHERE orders.customer_id = why.customer_id
    ),

    -- A rule that was deployed since, or rows that were changed since, are no part of the number yet.
    add_up AS (
        SELECT
            count(*) FILTER (WHERE looked_at.counts) AS total_orders,
            coalesce(sum(looked_at.amount) FILTER (WHERE looked_at.counts), 0) AS total_amount,
            min(looked_at.order_date) FILTER (WHERE looked_at.counts) AS first_order_date,
            max(looked_at.order_date) FILTER (WHERE looked_at.counts) AS last_order_date
        FROM orders_looked_at AS looked_at
    ),

    set_aside AS (
        SELECT
            rejected_rows.is_waiting,
            rejected_rows.rejected_row_id,
            format(
                '%s line %s%s: %s (last seen in run %s)',
                rejected_rows.file, rejected_rows.line_no,
                CASE
                    WHEN rejected_rows.line IS NOT NULL THEN ', no record, which may be this customer''s'
                    WHEN rejected_rows.source = 'order_data'
                        THEN format(', order %s', coalesce(audit.number_of(rejected_rows.fields ->> 'order_id')::text, '?'))
                    WHEN rejected_rows.source = 'payment_data'
                        THEN format(
                            ', payment %s of order %s',
                            coalesce(audit.number_of(rejected_rows.fields ->> 'payment_id')::text, '?'),
                            coalesce(audit.number_of(rejected_rows.fields ->> 'order_id')::text, '?')
                        )
                END,
                rejected_rows.reason, rejected_rows.last_run_no
            ) AS said
        FROM audit.rejected_rows
        CROSS JOIN LATERAL regexp_replace(
            coalesce(rejected_rows.line, rejected_rows.fields ->> 'customer_id'), '\\x[0-9a-f]{2}', '', 'g'
        ) AS readable (text)
        WHERE
            rejected_rows.released_run_no IS NULL
            AND rejected_rows.superseded_run_no IS NULL
            AND CASE
                -- Most rows have neither its digits nor a number written otherwise (3e2, 0x12): those are looked at no
                -- further. Bytes that were no text may stand in the middle of a number.
                WHEN
                    strpos(regexp_replace(readable.text, '[^0-9]+', '', 'g'), why.customer_id::text) = 0
                    AND readable.text !~* '[0-9][.]?[eobx]'
                    THEN false
                WHEN rejected_rows.line IS NULL
                    THEN audit.number_of(rejected_rows.fields ->> 'customer_id') = why.customer_id
                ELSE EXISTS (
                    SELECT
                    FROM audit.customers_named(rejected_rows.line, rejected_rows.source, rejected_rows.header) AS named
                    WHERE named.customer_id = why.customer_id
                )
            END
    ),

    -- Before a certain migration nobody has noted the files of a run.
    rules AS (
        SELECT coalesce(now_has.file, before_had.file) AS file
        FROM (
            SELECT
                sql_files.file,
                sql_files.sha256
            FROM audit.sql_files
            INNER JOIN runs_of_change ON sql_files.fingerprint = runs_of_change.fingerprint
        ) AS now_has
        FULL JOIN (
            SELECT
                sql_files.file,
                sql_files.sha256
            FROM audit.sql_files
            INNER JOIN runs_of_change ON sql_files.fingerprint = runs_of_change.earlier_fingerprint
        ) AS before_had ON now_has.file = before_had.file
        WHERE
            now_has.sha256 IS DISTINCT FROM before_had.sha256
            AND 2 = (
                SELECT count(DISTINCT sql_files.fingerprint)
                FROM audit.sql_files
                INNER JOIN runs_of_change
                    ON sql_files.fingerprint IN (runs_of_change.fingerprint, runs_of_change.earlier_fingerprint)
            )
    ),

    story AS (
        SELECT
            1 AS place,
            'ltv' AS topic,
            CASE
                WHEN published.total_orders = 0 THEN format('%s as of %s: no paid order', published.ltv, freshness.as_of)
                ELSE format(
                    '%s as of %s: %s a paid order × %s paid orders a year × %s years', published.ltv, freshness.as_of,
                    published.avg_order_value, published.orders_per_year, published.avg_lifespan_years
                )
            END AS said,
            0::bigint AS nth
        FROM published
        CROSS JOIN marts.freshness
        UNION ALL
        SELECT
            2, 'window',
            format(
                '%s paid orders, %s in all, from %s to %s; spread over %s whole months up to %s, at least 12',
                published.total_orders, published.total_amount, published.first_order_date, published.last_order_date,
                published.months, freshness.as_of
            ), 0
        FROM published
        CROSS JOIN marts.freshness
        WHERE published.total_orders > 0
        UNION ALL
        SELECT
            3, 'lifespan',
            format(
                '%s years, one number for everybody: the mean time between first and last paid order of the %s customers '
                || 'with two or more, at least 1',
                published.avg_lifespan_years,
                (SELECT count(*) FROM core.customer_activity WHERE customer_activity.total_orders > 1)
            ), 0
        FROM published
        WHERE published.total_orders > 0
        UNION ALL
        SELECT 4, 'customer', format('country %s', coalesce(customers.country, 'not known')), 0
        FROM core.customers
        WHERE customers.customer_id = why.customer_id
        UNION ALL
        SELECT
            CASE WHEN looked_at.counts THEN 5 ELSE 6 END,
            CASE WHEN looked_at.counts THEN 'counts' ELSE 'does not count' END,
            CASE
                WHEN looked_at.amount IS NULL THEN looked_at.name || ': unpaid, there is no payment'
                WHEN looked_at.counts THEN format('%s: %s paid (%s)', looked_at.name, looked_at.amount, looked_at.listed)
                WHEN looked_at.has_refund
                    THEN format('%s: refunded, %s is left (%s)', looked_at.name, looked_at.amount, looked_at.listed)
                ELSE format('%s: not paid enough, %s (%s)', looked_at.name, looked_at.amount, looked_at.listed)
            END,
            row_number() OVER (ORDER BY looked_at.order_date, looked_at.order_id)
        FROM orders_looked_at AS looked_at
        UNION ALL
        SELECT
            CASE WHEN set_aside.is_waiting THEN 7 ELSE 8 END,
            CASE WHEN set_aside.is_waiting THEN 'waits' ELSE 'rejected' END,
            set_aside.said, set_aside.rejected_row_id
        FROM set_aside
        UNION ALL
        SELECT
            9, 'run',
            format(
                'run_no %s (%s) as of %s published this number; the last publish with anything new, a number or the day, '
                || 'is run_no %s as of %s',
                made.run_no, made.dag_run_id, made.as_of, freshness.run_no, freshness.as_of
            ), 0
        FROM runs_of_change AS made
        CROSS JOIN marts.freshness
        UNION ALL
        SELECT
            10, 'changed',
            CASE
                WHEN before.change_no IS NULL THEN 'published for the first time'
                WHEN latest.action = 'DELETE'
                    THEN format('no longer published; before: ltv %s as of %s', before.ltv, before.as_of)
                ELSE format(
                    'before: ltv %s as of %s (run_no %s); %s', before.ltv, before.as_of, before.run_no,
                    (
                        SELECT
                            string_agg(
                                format('%s %s → %s', old.key, coalesce(old.value, '–'), coalesce(new.value, '–')), ', '
                                ORDER BY old.key
                            )
                        FROM jsonb_each_text(to_jsonb(before)) AS old
                        INNER JOIN jsonb_each_text(to_jsonb(latest)) AS new ON old.key = new.key
                        WHERE
                            old.value IS DISTINCT FROM new.value
                            AND old.key NOT IN ('change_no', 'action', 'as_of', 'run_no', 'published_at', 'ltv', 'nth')
                    )
                )
            END, 0
        FROM changes AS latest
        LEFT JOIN changes AS before ON before.nth = 2
        WHERE latest.nth = 1
        UNION ALL
        SELECT 11, 'changed', looked_at.name || ': came or changed in that run', looked_at.order_id
        FROM orders_looked_at AS looked_at
        INNER JOIN runs_of_change AS made ON looked_at.run_no = made.run_no
        UNION ALL
        SELECT 12, 'changed', 'other SQL than before: ' || string_agg(rules.file, ', ' ORDER BY rules.file), 0
        FROM rules
        HAVING count(*) > 0
        UNION ALL
        SELECT
            13, 'not yet published',
            format(
                'run_no %s (%s) has changed core since: the orders above may be newer than the number',
                last_run.run_no, last_run.state
            ), 0
        FROM marts.freshness
        CROSS JOIN LATERAL (
            SELECT
                runs.run_no,
                runs.state
            FROM audit.runs
            WHERE
                runs.run_no > freshness.run_no
                AND runs.state NOT IN ('published', 'undone')
                AND EXISTS (SELECT FROM audit.ledger WHERE ledger.run_no = runs.run_no AND ledger.rows_written > 0)
                -- The next one publishes it, and is not named by freshness where no number is new.
                AND NOT EXISTS (
                    SELECT FROM audit.runs AS later
                    WHERE later.run_no > runs.run_no AND later.state = 'published'
                )
            ORDER BY runs.run_no DESC
            LIMIT 1
        ) AS last_run
        UNION ALL
        SELECT
            13, 'not yet published',
            format(
                'by the rows and the rules of now the orders above are %s paid orders, %s in all%s: '
                || 'the published number was made otherwise',
                add_up.total_orders, add_up.total_amount,
                CASE
                    WHEN add_up.total_orders > 0
                        THEN format(', from %s to %s', add_up.first_order_date, add_up.last_order_date)
                END
            ), 1
        FROM published
        CROSS JOIN add_up
        WHERE
            (published.total_orders, published.total_amount, published.first_order_date, published.last_order_date)
            IS DISTINCT FROM
            (add_up.total_orders, add_up.total_amount, add_up.first_order_date, add_up.last_order_date)
        UNION ALL
        SELECT 14, 'forgotten', format('this customer was erased on %s', forgotten_customers.forgotten_at::date), 0
        FROM core.forgotten_customers
        WHERE forgotten_customers.customer_id = why.customer_id
    )

    SELECT
        told.topic,
        told.said
    FROM (
        SELECT
            story.place,
            story.topic,
            story.said,
            story.nth
        FROM story
        UNION ALL
        SELECT
            15, 'unknown',
            format(
                'customer %s is in no table: no delivery has brought this number',
                coalesce(why.customer_id::text, 'NULL')
            ), 0
        WHERE NOT EXISTS (SELECT FROM story WHERE story.place <> 13)
    ) AS told
    ORDER BY told.place, told.nth
$$;
COMMENT ON FUNCTION marts.why(bigint) IS 'The story of one customer''s number, a row each: the product, the window, the lifespan, the orders and payments that count and those that do not, lines that wait or were rejected with their reasons, the run that published it, and what has changed since the publish before. No personal data but the country.';
