-- marts.publish_again: publish what stood in customer_ltv before a run, for the customers whose rows it changed.
CREATE OR REPLACE FUNCTION marts.publish_again(undone_run_no integer) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = ''
AS $$
    WITH changed AS (
        SELECT customer_ltv_history.customer_id, min(customer_ltv_history.change_no) AS change_no
        FROM marts.customer_ltv_history
        WHERE customer_ltv_history.run_no = publish_again.undone_run_no
        GROUP BY customer_ltv_history.customer_id
    ),

    before AS (
        SELECT DISTINCT ON (changed.customer_id)
            changed.customer_id,
            coalesce(history.action, 'DELETE') AS action,
            history.as_of,
            history.run_no,
            history.published_at,
            history.total_orders,
            history.total_amount,
            history.avg_order_value,
            history.ltv,
            history.first_order_date,
            history.last_order_date,
            history.orders_per_year,
            history.avg_lifespan_years
        FROM changed
        -- An undo and the run that it has undone come to nothing.
        LEFT JOIN (
            marts.customer_ltv_history AS history
            INNER JOIN audit.runs
                ON history.run_no = runs.run_no AND runs.state <> 'undone' AND runs.dag_run_id NOT LIKE 'undo of run %'
        )
            ON changed.customer_id = history.customer_id AND history.change_no < changed.change_no
        ORDER BY changed.customer_id ASC, history.change_no DESC NULLS LAST
    ),

    published AS (
        MERGE INTO marts.customer_ltv AS published
        USING before
            ON published.customer_id = before.customer_id
        WHEN MATCHED AND before.action = 'DELETE' THEN DELETE
        WHEN MATCHED THEN
            UPDATE
                SET
                    total_orders = before.total_orders,
                    total_amount = before.total_amount,
                    avg_order_value = before.avg_order_value,
                    ltv = before.ltv,
                    first_order_date = before.first_order_date,
                    last_order_date = before.last_order_date,
                    orders_per_year = before.orders_per_year,
                    avg_lifespan_years = before.avg_lifespan_years,
                    changed_as_of = before.as_of,
                    run_no = before.run_no,
                    updated_at = before.published_at
        WHEN NOT MATCHED AND before.action <> 'DELETE' THEN INSERT (
            customer_id,
            total_orders,
            total_amount,
            avg_order_value,
            ltv,
            first_order_date,
            last_order_date,
            orders_per_year,
            avg_lifespan_years,
            changed_as_of,
            run_no,
            updated_at
        ) VALUES (
            before.customer_id,
            before.total_orders,
            before.total_amount,
            before.avg_order_value,
            before.ltv,
            before.first_order_date,
            before.last_order_date,
            before.orders_per_year,
            before.avg_lifespan_years,
            before.as_of,
            before.run_no,
            before.published_at
        )
        RETURNING
            merge_action() AS action,
            coalesce(new.customer_id, old.customer_id) AS customer_id,
            new.total_orders,
            new.total_amount,
            new.avg_order_value,
            new.ltv,
            new.first_order_date,
            new.last_order_date,
            new.orders_per_year,
            new.avg_lifespan_years
    )

    INSERT INTO marts.customer_ltv_history (
        customer_id,
        action,
        as_of,
        run_no,
        published_at,
        total_orders,
        total_amount,
        avg_order_value,
        ltv,
        first_order_date,
        last_order_date,
        orders_per_year,
        avg_lifespan_years
    )
    SELECT
        published.customer_id,
        published.action,
        (SELECT audit.as_of()) AS as_of,
        (SELECT audit.run_no()) AS run_no,
        now() AS published_at,
        published.total_orders,
        published.total_amount,
        published.avg_order_value,
        published.ltv,
        published.first_order_date,
        published.last_order_date,
        published.orders_per_year,
        published.avg_lifespan_years
    FROM published;

    -- Before the first publish there was none.
    DELETE FROM marts.freshness WHERE NOT EXISTS (SELECT FROM marts.customer_ltv);
    UPDATE marts.freshness
    SET as_of = audit.as_of(), run_no = audit.run_no(), published_at = now();
$$;
COMMENT ON FUNCTION marts.publish_again(integer) IS 'Publish what stood in customer_ltv before a run, for the customers whose rows it changed; part of audit.undo_run.';
