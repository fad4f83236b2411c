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
        latest.total_orders,
        latest.total_amount,
        latest.avg_order_value,
        latest.ltv,
        latest.first_order_date,
        latest.last_order_date,
        latest.orders_per_year,
        latest.avg_lifespan_years
    FROM (
        SELECT DISTINCT ON (history.customer_id) history.*
        FROM marts.customer_ltv_history AS history
        WHERE history.as_of <= $1
        ORDER BY history.customer_id ASC, history.change_no DESC
    ) AS latest
    WHERE latest.action <> 'DELETE';
END;
COMMENT ON FUNCTION marts.customer_ltv_as_of(date) IS 'customer_ltv as it was last published for a day, or else for the last one before; nothing for a day before the first, the newest for a day to come. One row per customer_id.';
