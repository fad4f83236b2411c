-- forecast.customer_forecast: what each customer is expected to buy in the next 12 months; what marts shows of it.
-- Grain: one row per customer_id with a paid order.
-- Reads: forecast.scores, buyers, assumptions
-- Write: merged; only rows that differ are written. What the forecast is made from is kept where it has changed.

-- Whoever is being erased (core.forget_customer) must not come back with this: one of the two waits for the other.
LOCK TABLE forecast.customer_forecast IN SHARE ROW EXCLUSIVE MODE;

-- A crash of the server empties UNLOGGED tables; that must not pass for a day without customers.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM forecast.scores) AND EXISTS (SELECT FROM forecast.buyers) THEN
        RAISE EXCEPTION 'forecast.scores has been lost, by a crash of the server: clear the task forecast.scores';
    END IF;
END $$;

WITH merged AS (
    MERGE INTO forecast.customer_forecast AS kept -- noqa: PRS
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
    )
    RETURNING
        coalesce(new.customer_id, old.customer_id) AS customer_id,
        old.as_of AS last_as_of,
        new.frequency,
        new.as_of - round(new.t * 7)::integer AS first_order_date,
        new.as_of - round((new.t - new.recency) * 7)::integer AS last_order_date,
        new.monetary_value,
        -- The rest moves with the day and the model.
        (
            new.frequency,
            new.as_of - round(new.t * 7)::integer,
            round(new.recency * 7),
            new.monetary_value
        ) IS DISTINCT FROM (
            old.frequency,
            old.as_of - round(old.t * 7)::integer,
            round(old.recency * 7),
            old.monetary_value
        ) AS is_news
),

published AS (
    INSERT INTO forecast.publishes (
        as_of,
        model_no,
        yearly_discount,
        weeks_a_year,
        customers,
        expected_orders,
        expected_value
    )
    SELECT
        -- A forecast of nobody takes back the last one.
        coalesce(max(scores.as_of), (SELECT max(merged.last_as_of) FROM merged)) AS as_of,
        max(scores.model_no) AS model_no,
        max(assumptions.yearly_discount) AS yearly_discount,
        max(assumptions.weeks_a_year) AS weeks_a_year,
        count(scores.customer_id) AS customers,
        sum(scores.expected_orders) AS expected_orders,
        sum(scores.expected_value) AS expected_value
    FROM forecast.assumptions
    LEFT JOIN forecast.scores ON true
    HAVING EXISTS (SELECT FROM merged)
    RETURNING publishes.publish_no
)

INSERT INTO forecast.customer_forecast_history (
    customer_id,
    publish_no,
    frequency,
    first_order_date,
    last_order_date,
    monetary_value
)
SELECT
    merged.customer_id,
    published.publish_no,
    merged.frequency,
    merged.first_order_date,
    merged.last_order_date,
    merged.monetary_value
FROM merged
CROSS JOIN published
WHERE merged.is_news;
