-- marts.ltv_movers: whose ltv the last publish has changed, and why, one factor after the other.
-- Grain: one row per customer_id whose ltv is another than at the publish before.
-- Reads: marts.customer_ltv_history, marts.freshness, core.customers
-- Write: a view. ltv is total_amount × avg_lifespan_years × 12 / months (intermediate.customer_ltv). From the one to
-- the other in this order: the amount, the months, the lifespan; each step is rounded to the cent, so they add up.
CREATE OR REPLACE VIEW marts.ltv_movers AS
WITH seen AS NOT MATERIALIZED (
    SELECT
        history.customer_id,
        history.change_no,
        history.run_no,
        history.as_of,
        history.action,
        history.total_orders,
        history.total_amount,
        history.ltv,
        history.avg_lifespan_years,
        CASE
            WHEN history.first_order_date IS NOT NULL
                THEN greatest(
                    12,
                    12 * extract(YEAR FROM age(history.as_of::timestamp, history.first_order_date::timestamp))
                    + extract(MONTH FROM age(history.as_of::timestamp, history.first_order_date::timestamp))
                )
        END AS months
    FROM marts.customer_ltv_history AS history
),

news AS (
    SELECT DISTINCT ON (seen.customer_id) seen.*
    FROM seen
    INNER JOIN marts.freshness ON seen.run_no = freshness.run_no
    ORDER BY seen.customer_id ASC, seen.change_no DESC
),

-- Without a paid order there are no months: then those of the other side.
compared AS (
    SELECT
        news.customer_id,
        news.as_of,
        before.total_orders AS previous_orders,
        news.total_orders AS orders,
        news.total_amount AS amount,
        before.avg_lifespan_years AS previous_lifespan,
        before.customer_id IS NULL AS is_first_seen,
        news.action = 'DELETE' AS is_gone,
        coalesce(before.ltv, 0) AS previous_ltv,
        coalesce(news.ltv, 0) AS ltv,
        coalesce(before.months, news.months, 12) AS previous_months,
        coalesce(news.months, before.months, 12) AS months
    FROM news
    LEFT JOIN
        LATERAL (
            SELECT seen.*
            FROM seen
            WHERE seen.customer_id = news.customer_id AND seen.run_no < news.run_no
            ORDER BY seen.change_no DESC
            LIMIT 1
        ) AS before
        ON before.action <> 'DELETE'
),

stepped AS (
    SELECT
        compared.*,
        NOT compared.is_first_seen AND NOT compared.is_gone AS is_known,
        round(
            compared.amount * compared.previous_lifespan * 12 / compared.previous_months, 2
        ) AS with_amount,
        round(compared.amount * compared.previous_lifespan * 12 / compared.months, 2) AS with_months
    FROM compared
    WHERE compared.ltv <> compared.previous_ltv
),

parts AS (
    SELECT
        stepped.customer_id,
        stepped.as_of,
        stepped.previous_ltv,
        stepped.ltv,
        CASE WHEN stepped.is_first_seen THEN stepped.ltv ELSE 0 END AS by_first_seen,
        CASE WHEN stepped.is_gone THEN -stepped.previous_ltv ELSE 0 END AS by_gone,
        CASE
            WHEN stepped.is_known AND stepped.orders > stepped.previous_orders
                THEN stepped.with_amount - stepped.previous_ltv
            ELSE 0
        END AS by_new_orders,
        CASE
            WHEN stepped.is_known AND stepped.orders <= stepped.previous_orders
                THEN stepped.with_amount - stepped.previous_ltv
            ELSE 0
        END AS by_refunds,
        CASE WHEN stepped.is_known THEN stepped.with_months - stepped.with_amount ELSE 0 END AS by_window,
        CASE WHEN stepped.is_known THEN stepped.ltv - stepped.with_months ELSE 0 END AS by_lifespan
    FROM stepped
)

SELECT
    parts.customer_id,
    customers.country,
    parts.as_of,
    parts.previous_ltv,
    parts.ltv,
    parts.by_first_seen,
    parts.by_gone,
    parts.by_new_orders,
    parts.by_refunds,
    parts.by_window,
    parts.by_lifespan,
    parts.ltv - parts.previous_ltv AS change,
    CASE greatest(
        abs(parts.by_first_seen), abs(parts.by_gone), abs(parts.by_new_orders),
        abs(parts.by_refunds), abs(parts.by_window), abs(parts.by_lifespan)
    )
        WHEN abs(parts.by_first_seen) THEN 'first seen'
        WHEN abs(parts.by_gone) THEN 'gone'
        WHEN abs(parts.by_new_orders) THEN 'new orders'
        WHEN abs(parts.by_refunds) THEN 'refunds'
        WHEN abs(parts.by_window) THEN 'window'
        ELSE 'lifespan'
    END AS reason,
    rank() OVER (ORDER BY abs(parts.ltv - parts.previous_ltv) DESC) AS place
FROM parts
LEFT JOIN core.customers ON parts.customer_id = customers.customer_id;
COMMENT ON VIEW marts.ltv_movers IS 'Whose ltv the last publish has changed, and why, one factor after the other: the amount, the months, the lifespan; the parts add up to the change, to the cent. One row per customer_id whose ltv is another than at the publish before.';
COMMENT ON COLUMN marts.ltv_movers.place IS '1 has changed most, up or down.';
COMMENT ON COLUMN marts.ltv_movers.customer_id IS 'The customer.';
COMMENT ON COLUMN marts.ltv_movers.country IS 'The country, as delivered last; NULL where it is not known, or the customer is gone.';
COMMENT ON COLUMN marts.ltv_movers.as_of IS 'As-of date of the last publish.';
COMMENT ON COLUMN marts.ltv_movers.previous_ltv IS 'ltv at the publish before; 0 of who was not in it.';
COMMENT ON COLUMN marts.ltv_movers.ltv IS 'ltv now; 0 of who is gone.';
COMMENT ON COLUMN marts.ltv_movers.change IS 'ltv − previous_ltv, which is the sum of the parts that follow.';
COMMENT ON COLUMN marts.ltv_movers.reason IS 'The largest of the parts: first seen, gone, new orders, refunds, window or lifespan.';
COMMENT ON COLUMN marts.ltv_movers.by_first_seen IS 'The whole ltv of who was not in the publish before.';
COMMENT ON COLUMN marts.ltv_movers.by_gone IS 'The whole ltv of who is in this one no more, negative.';
COMMENT ON COLUMN marts.ltv_movers.by_new_orders IS 'What another total_amount makes, at the months and the lifespan of before, where there are more paid orders; refunds of the same night included.';
COMMENT ON COLUMN marts.ltv_movers.by_refunds IS 'The same where there are as many paid orders, or fewer: refunds, late payments, corrections, orders that have moved to somebody else.';
COMMENT ON COLUMN marts.ltv_movers.by_window IS 'What other months since the first order make: a month has passed, or the first order is another.';
COMMENT ON COLUMN marts.ltv_movers.by_lifespan IS 'What another avg_lifespan_years makes, everybody''s.';
