-- marts.customer_ltv_as_of: customer_ltv as it was last published for a day, or else for the last one before.
-- What was undone has been taken back: the undo is the later publish. Who is erased is erased here too.
CREATE OR REPLACE FUNCTION marts.customer_ltv_as_of(day date) RETURNS TABLE (
    customer_id bigint,
    total_orders integer,
    total_amount numeric,
    avg_order_value numeric,
    ltv numeric,
    first_order_date date,
    last_order_date date,
    orders_per_year numeric,
    avg_lifespan_years numeric
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        latest.customer_id,
        history.total_orders,
        history.total_amount,
        history.avg_order_value,
        history.ltv,
        history.first_order_date,
        history.last_order_date,
        history.orders_per_year,
        history.avg_lifespan_years
    -- From the index alone.
    FROM (
        SELECT DISTINCT ON (changes.customer_id)
            changes.customer_id,
            changes.change_no
        FROM marts.customer_ltv_history AS changes
        WHERE changes.as_of <= $1
        ORDER BY changes.customer_id ASC, changes.change_no DESC
    ) AS latest
    INNER JOIN marts.customer_ltv_history AS history ON latest.change_no = history.change_no
    WHERE history.action <> 'DELETE';
END;
COMMENT ON FUNCTION marts.customer_ltv_as_of(date) IS 'customer_ltv as it was last published for a day, or else for the last one before; nothing for a day before the first, the newest for a day to come. One row per customer_id.';
