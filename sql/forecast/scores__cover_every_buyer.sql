-- forecast.scores__cover_every_buyer: one score per customer who has bought, with a forecast where there is a model.
WITH scored AS (
    SELECT
        scores.customer_id,
        count(*) AS times,
        bool_and((scores.expected_orders IS NULL) = (scores.model_no IS NULL)) AS is_whole
    FROM forecast.scores
    GROUP BY scores.customer_id
)

SELECT
    audit.verdict(
        claim => 'forecast.scores__cover_every_buyer',
        bad_rows => count(*),
        checked_rows => (SELECT greatest(1, count(*)) FROM forecast.scores),
        example => 'customer ' || min(coalesce(buyers.customer_id, scored.customer_id))
    ) AS cover_every_buyer
FROM forecast.buyers
FULL JOIN scored ON buyers.customer_id = scored.customer_id
WHERE (buyers.customer_id = scored.customer_id AND scored.times = 1 AND scored.is_whole) IS NOT true;
