-- buyers: an invented company whose customers buy as the models of the forecast say, by day, over three years.
-- Grain: one row per paid order.
-- Reads: setting bench.customers, how many customers there are
-- Write: temporary views named after the three files, the same every time.
--
-- Purchase rates are gamma distributed (shape 0.5, rate 8 weeks), chances to leave beta distributed (0.5, 2.5), amounts
-- gamma distributed (shape 6) about own means (4, 15). A gamma variate of shape 0.5 is half the square of a normal one, and of
-- a whole shape the sum of so many exponential ones.

SET max_parallel_workers_per_gather = 0;
SELECT setseed(0.4);

CREATE TEMPORARY TABLE buyers AS
WITH drawn AS (
    SELECT
        number AS customer_id,
        -- Few came at once, most came later; all within three years.
        1096 * sqrt(random()) AS first_day,
        random_normal() ^ 2 / 2 / 8 / 7 AS purchases_a_day,
        random_normal() ^ 2 / 2 AS leaving,
        random_normal() ^ 2 / 2 - ln(1 - random()) - ln(1 - random()) AS staying,
        (-ln(1 - random()) - ln(1 - random()) - ln(1 - random()) - ln(1 - random())) / 15 AS rate_of_amounts
    FROM generate_series(1, current_setting('bench.customers')::integer) AS number
)

SELECT
    customer_id,
    first_day,
    greatest(purchases_a_day, 1e-9) AS purchases_a_day,
    leaving / (leaving + staying) AS leaves,
    rate_of_amounts
FROM drawn;

CREATE TEMPORARY TABLE purchases AS
WITH RECURSIVE turns AS (
    SELECT
        customer_id,
        first_day AS day,
        purchases_a_day,
        leaves,
        rate_of_amounts,
        false AS is_gone
    FROM buyers
    UNION ALL
    SELECT
        customer_id,
        day - ln(1 - random()) / purchases_a_day,
        purchases_a_day,
        leaves,
        rate_of_amounts,
        random() < leaves
    FROM turns
    WHERE NOT is_gone AND day < 1096
)

SELECT
    row_number() OVER (ORDER BY day, customer_id) AS order_id,
    customer_id,
    date '2023-01-31' + floor(day)::integer AS order_date,
    round(
        greatest(
            -ln((1 - random()) * (1 - random()) * (1 - random()) * (1 - random()) * (1 - random()) * (1 - random()))
            / rate_of_amounts, 0.01
        )::numeric, 2
    ) AS amount
FROM turns
WHERE day < 1096;

CREATE TEMPORARY VIEW customer_data AS
SELECT
    customer_id,
    'Aline' AS first_name,
    'Uwase' AS last_name,
    'c' || customer_id || '@example.com' AS email,
    'Rwanda' AS country,
    'Female' AS gender,
    date '1980-01-01' AS date_of_birth
FROM buyers;

CREATE TEMPORARY VIEW order_data AS
SELECT
    order_id,
    customer_id,
    order_date,
    'Phone' AS product,
    amount AS price
FROM purchases;

CREATE TEMPORARY VIEW payment_data AS
SELECT
    order_id AS payment_id,
    customer_id,
    order_id,
    order_date AS payment_date,
    amount
FROM purchases;
