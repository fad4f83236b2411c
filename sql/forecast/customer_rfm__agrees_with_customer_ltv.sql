-- forecast.customer_rfm__agrees_with_customer_ltv: what is forecast from is what was published, customer by customer.
WITH different AS (
    SELECT coalesce(published.customer_id, customer_rfm.customer_id) AS customer_id
    FROM (
        SELECT
            customer_ltv.customer_id,
            customer_ltv.total_orders,
            customer_ltv.total_amount,
            customer_ltv.first_order_date,
            customer_ltv.last_order_date
        FROM marts.customer_ltv
        WHERE customer_ltv.total_orders > 0
    ) AS published
    FULL JOIN forecast.customer_rfm ON published.customer_id = customer_rfm.customer_id
    WHERE (
        published.total_orders,
        published.total_amount,
        published.first_order_date,
        published.last_order_date
    ) IS DISTINCT FROM (
        customer_rfm.total_orders,
        customer_rfm.total_amount,
        customer_rfm.first_order_date,
        customer_rfm.last_order_date
    )
)

-- Not so while the next run is between core and marts: then this forecast is the one to wait.
SELECT
    audit.verdict(
        claim => 'forecast.customer_rfm__agrees_with_customer_ltv',
        bad_rows => count(*),
        checked_rows => (SELECT greatest(1, count(*)) FROM marts.customer_ltv),
        example => 'customer ' || min(different.customer_id)
    ) AS agrees_with_customer_ltv
FROM different;
