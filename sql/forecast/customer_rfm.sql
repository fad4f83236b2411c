-- forecast.customer_rfm: how often, until when and for how much each customer has bought, up to the published day.
-- Grain: one row per customer_id with a paid order.
-- Reads: core.changed_customers, orders, payments, forecast.known_buying_days, freshness, marts.freshness, audit.runs
-- Write: merged for whom runs have changed since the last one, or for everybody; only rows that differ are written.

-- Whoever is being erased (core.forget_customer) must not come back with this: one of the two waits for the other.
LOCK TABLE forecast.customer_rfm IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO forecast.freshness (as_of, run_no, after_change_no, change_no, of_everybody, file_md5, computed_at)
WITH published AS (
    SELECT
        freshness.as_of,
        freshness.run_no,
        coalesce(known.change_no, 0) AS after_change_no,
        known.run_no IS NULL
        -- This file; what it calls belongs to the runs, which compute everybody where that has been edited.
        OR known.file_md5 <> md5(current_query())
        -- Whom it has changed may have expired; that very run may have begun again since.
        OR EXISTS (
            SELECT FROM audit.runs
            WHERE runs.run_no >= known.run_no AND runs.started_at < now() - audit.undo_kept_for()
        ) AS is_unknown
    FROM marts.freshness
    LEFT JOIN forecast.freshness AS known ON true
    -- There is one row of each. Nobody has analyzed them: the planner would make room for a million.
    ORDER BY freshness.as_of
    LIMIT 1
),

-- Whom a run of a later day has changed is computed when that day is published.
changed AS (
    SELECT
        max(changed_customers.change_no) AS change_no,
        count(*) AS customers,
        bool_or(changed_customers.customer_id IS NULL) AS is_everybody
    FROM published
    INNER JOIN core.changed_customers ON published.after_change_no < changed_customers.change_no
    INNER JOIN audit.runs ON changed_customers.run_no = runs.run_no AND published.as_of >= runs.as_of
)

SELECT
    published.as_of,
    published.run_no,
    published.after_change_no,
    greatest(published.after_change_no, changed.change_no) AS change_no,
    coalesce(published.is_unknown, false)
    OR coalesce(changed.is_everybody, false)
    -- For most of the customers it is cheaper to read everything.
    OR 2 * changed.customers > (SELECT count(*) FROM forecast.customer_rfm) AS of_everybody,
    md5(current_query()) AS file_md5,
    now() AS computed_at
FROM published
CROSS JOIN changed
ON CONFLICT (only_row) DO UPDATE
    SET
        as_of = excluded.as_of,
        run_no = excluded.run_no,
        after_change_no = excluded.after_change_no,
        change_no = excluded.change_no,
        of_everybody = excluded.of_everybody,
        file_md5 = excluded.file_md5,
        computed_at = excluded.computed_at;

-- Nothing is published, or not any more.
DELETE FROM forecast.freshness
WHERE NOT EXISTS (SELECT FROM marts.freshness);

-- Ids come nearly in order: a sort sees that at once, a hash table of millions does not.
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_hashagg = off;

MERGE INTO forecast.customer_rfm AS kept
USING (
    WITH asked AS (
        SELECT DISTINCT changed_customers.customer_id
        FROM forecast.freshness
        INNER JOIN core.changed_customers
            ON
                freshness.after_change_no < changed_customers.change_no
                AND freshness.change_no >= changed_customers.change_no
        WHERE NOT freshness.of_everybody
    ),

    days AS (
        SELECT
            buying_days.customer_id,
            buying_days.order_date,
            buying_days.orders,
            buying_days.amount
        FROM forecast.known_buying_days AS buying_days
        WHERE coalesce((SELECT freshness.of_everybody FROM forecast.freshness), true)
        UNION ALL
        SELECT
            asked.customer_id,
            buying_days.order_date,
            buying_days.orders,
            buying_days.amount
        FROM asked
        CROSS JOIN LATERAL forecast.buying_days_of(asked.customer_id) AS buying_days
    ),

    in_turn AS (
        SELECT
            days.customer_id,
            days.order_date,
            days.orders,
            days.amount,
            row_number() OVER (PARTITION BY days.customer_id ORDER BY days.order_date) > 1 AS is_repeat
        FROM days
        -- While the next run fills core, its day is none of this one's.
        WHERE days.order_date <= (SELECT freshness.as_of FROM forecast.freshness)
    ),

    bought AS (
        SELECT
            in_turn.customer_id,
            count(*) FILTER (WHERE in_turn.is_repeat) AS frequency,
            min(in_turn.order_date) AS first_order_date,
            max(in_turn.order_date) AS last_order_date,
            (max(in_turn.order_date) - min(in_turn.order_date))::double precision / 7 AS recency,
            coalesce(sum(in_turn.amount) FILTER (WHERE in_turn.is_repeat), 0)::double precision AS repeat_amount,
            coalesce(avg(in_turn.amount) FILTER (WHERE in_turn.is_repeat), 0)::numeric(24, 4) AS monetary_value,
            sum(in_turn.orders)::bigint AS total_orders,
            sum(in_turn.amount)::numeric(24, 2) AS total_amount
        FROM in_turn
        GROUP BY in_turn.customer_id
    ),

    -- And who has bought no more.
    expected AS (
        SELECT asked.customer_id
        FROM asked
        UNION ALL
        SELECT customer_rfm.customer_id
        FROM forecast.customer_rfm
        WHERE coalesce((SELECT freshness.of_everybody FROM forecast.freshness), true)
    )

    SELECT
        coalesce(bought.customer_id, expected.customer_id) AS customer_id,
        bought.frequency,
        bought.first_order_date,
        bought.last_order_date,
        bought.recency,
        bought.repeat_amount,
        bought.monetary_value,
        bought.monetary_value::double precision AS mean_amount,
        bought.total_orders,
        bought.total_amount,
        forecast.sample_of(bought.customer_id) AS sample
    FROM bought
    FULL JOIN expected ON bought.customer_id = expected.customer_id
) AS computed
    ON kept.customer_id = computed.customer_id
WHEN MATCHED AND computed.frequency IS NULL THEN DELETE
WHEN MATCHED AND (
    kept.frequency,
    kept.first_order_date,
    kept.last_order_date,
    kept.recency,
    kept.repeat_amount,
    kept.monetary_value,
    kept.mean_amount,
    kept.total_orders,
    kept.total_amount,
    kept.sample
) IS DISTINCT FROM (
    computed.frequency,
    computed.first_order_date,
    computed.last_order_date,
    computed.recency,
    computed.repeat_amount,
    computed.monetary_value,
    computed.mean_amount,
    computed.total_orders,
    computed.total_amount,
    computed.sample
) THEN
    UPDATE
        SET
            frequency = computed.frequency,
            first_order_date = computed.first_order_date,
            last_order_date = computed.last_order_date,
            recency = computed.recency,
            repeat_amount = computed.repeat_amount,
            monetary_value = computed.monetary_value,
            mean_amount = computed.mean_amount,
            total_orders = computed.total_orders,
            total_amount = computed.total_amount,
            sample = computed.sample
WHEN NOT MATCHED AND computed.frequency IS NOT NULL THEN INSERT (
    customer_id,
    frequency,
    first_order_date,
    last_order_date,
    recency,
    repeat_amount,
    monetary_value,
    mean_amount,
    total_orders,
    total_amount,
    sample
) VALUES (
    computed.customer_id,
    computed.frequency,
    computed.first_order_date,
    computed.last_order_date,
    computed.recency,
    computed.repeat_amount,
    computed.monetary_value,
    computed.mean_amount,
    computed.total_orders,
    computed.total_amount,
    computed.sample
);

ANALYZE forecast.customer_rfm;
