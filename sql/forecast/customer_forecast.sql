-- forecast.customer_forecast: what each customer is expected to buy in the next 12 months; what marts shows of it.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.scores
-- Write: merged; only rows that differ are written.

-- Whoever is being erased (core.forget_customer) must not come back with this: one of the two waits for the other.
LOCK TABLE forecast.customer_forecast IN SHARE ROW EXCLUSIVE MODE;

MERGE INTO forecast.customer_forecast AS kept
USING forecast.scores AS scores
    ON kept.customer_id = scores.customer_id
WHEN MATCHED AND (
    kept.as_of,
    kept.frequency,
    kept.recency,
    kept.t,
    kept.monetary_value,
    kept.p_alive,
    kept.expected_orders,
    kept.expected_order_value,
    kept.expected_value,
    kept.model_no
) IS DISTINCT FROM (
    scores.as_of,
    scores.frequency,
    scores.recency,
    scores.t,
    scores.monetary_value,
    scores.p_alive,
    scores.expected_orders,
    scores.expected_order_value,
    scores.expected_value,
    scores.model_no
) THEN
    UPDATE
        SET
            as_of = scores.as_of,
            frequency = scores.frequency,
            recency = scores.recency,
            t = scores.t,
            monetary_value = scores.monetary_value,
            p_alive = scores.p_alive,
            expected_orders = scores.expected_orders,
            expected_order_value = scores.expected_order_value,
            expected_value = scores.expected_value,
            model_no = scores.model_no,
            updated_at = now()
WHEN NOT MATCHED BY SOURCE THEN DELETE
WHEN NOT MATCHED BY TARGET THEN INSERT (
    customer_id,
    as_of,
    frequency,
    recency,
    t,
    monetary_value,
    p_alive,
    expected_orders,
    expected_order_value,
    expected_value,
    model_no,
    updated_at
) VALUES (
    scores.customer_id,
    scores.as_of,
    scores.frequency,
    scores.recency,
    scores.t,
    scores.monetary_value,
    scores.p_alive,
    scores.expected_orders,
    scores.expected_order_value,
    scores.expected_value,
    scores.model_no,
    now()
);
