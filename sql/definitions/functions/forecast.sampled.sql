-- forecast.sampled: a share of the customers, in per cent, by pages of their table: the same ones every time.
-- Written so that it is read as part of the statement that asks; a sample is not scanned in parallel, so all are none.
CREATE OR REPLACE FUNCTION forecast.sampled(share integer) RETURNS TABLE (
    frequency integer, recency double precision, t double precision, repeat_amount double precision
)
LANGUAGE sql STABLE
AS $$
    SELECT customer_rfm.frequency, customer_rfm.recency, customer_rfm.t, customer_rfm.repeat_amount
    FROM forecast.customer_rfm
    WHERE share = 100
    UNION ALL
    SELECT customer_rfm.frequency, customer_rfm.recency, customer_rfm.t, customer_rfm.repeat_amount
    FROM forecast.customer_rfm TABLESAMPLE SYSTEM (share) REPEATABLE (1)
    WHERE share < 100
$$;
COMMENT ON FUNCTION forecast.sampled(integer) IS 'What a share of the customers, in per cent, has bought.';
