-- marts.customer_ltv: what each customer is worth; what analysts read.
-- Grain: one row per customer_id.
-- Reads: intermediate.customer_ltv
-- Write: merged; an unchanged row keeps its changed_as_of and updated_at; history and freshness with it.

WITH published AS (
    MERGE INTO marts.customer_ltv AS published -- noqa: PRS
    USING intermediate.customer_ltv AS candidate
        ON published.customer_id = candidate.customer_id
    WHEN MATCHED AND (
        published.total_orders,
        published.total_amount,
        published.avg_order_value,
        published.ltv,
        published.first_order_date,
        published.last_order_date,
        published.orders_per_year,
        published.avg_lifespan_years
    ) IS DISTINCT FROM (
        candidate.total_orders,
        candidate.total_amount,
        candidate.avg_order_value,
        candidate.ltv,
        candidate.first_order_date,
        candidate.last_order_date,
        candidate.orders_per_year,
        candidate.avg_lifespan_years
    ) THEN
        UPDATE
            SET
                total_orders = candidate.total_orders,
                total_amount = candidate.total_amount,
                avg_order_value = candidate.avg_order_value,
                ltv = candidate.ltv,
                first_order_date = candidate.first_order_date,
                last_order_date = candidate.last_order_date,
                orders_per_year = candidate.orders_per_year,
                avg_lifespan_years = candidate.avg_lifespan_years,
                changed_as_of = (SELECT audit.as_of()),
                run_no = (SELECT audit.run_no()),
                updated_at = now()
    WHEN NOT MATCHED BY SOURCE THEN DELETE
    WHEN NOT MATCHED BY TARGET THEN INSERT (
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
        candidate.customer_id,
        candidate.total_orders,
        candidate.total_amount,
        candidate.avg_order_value,
        candidate.ltv,
        candidate.first_order_date,
        candidate.last_order_date,
        candidate.orders_per_year,
        candidate.avg_lifespan_years,
        (SELECT audit.as_of()),
        (SELECT audit.run_no()),
        now()
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

MERGE INTO marts.freshness AS known
USING (
    SELECT
        (SELECT audit.as_of()) AS as_of,
        (
            SELECT customer_ltv_history.published_at = now()
            FROM marts.customer_ltv_history
            ORDER BY customer_ltv_history.change_no DESC
            LIMIT 1
        ) AS has_changes
) AS latest
    ON known.only_row
WHEN MATCHED AND known.published_at <> now() AND (latest.has_changes OR known.as_of <> latest.as_of) THEN
    UPDATE
        SET
            as_of = latest.as_of,
            run_no = (SELECT audit.run_no()),
            published_at = now()
WHEN NOT MATCHED THEN INSERT (
    as_of, run_no, published_at
) VALUES (
    latest.as_of, (SELECT audit.run_no()), now()
);
