-- deliveries: an invented company of any size, the same every time: what its three files say on day 0 and on day 1.
-- Grain: one row per line of a file.
-- Reads: nothing
-- Write: functions in a schema bench, in a database of the benchmark's own.
--
-- There are as many payments as orders and a tenth as many customers. Ids grow as things happen. Of ten orders eight
-- are paid once, one is paid twice or refunded in half or whole, one not at all. On every later day each file has a
-- 200th of its rows changed and as many new ones.

CREATE SCHEMA bench;

CREATE FUNCTION bench.draw(number bigint, salt bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((number * 2654435761 + salt * 40503) % 4294967291 * 48271 % 2147483647) / 2147483647.0::double precision;
COMMENT ON FUNCTION bench.draw(bigint, bigint) IS 'A number from 0 to 1 that looks random and hangs on nothing but its arguments.';

CREATE FUNCTION bench.version(number bigint, known bigint, day integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN number > known OR number % 200 = day % 200 THEN day ELSE 0 END;
COMMENT ON FUNCTION bench.version(bigint, bigint, integer) IS 'The day, where a row is one of those that are new or changed on it; as many were known on day 0.';

CREATE FUNCTION bench.customer_data(first bigint, last bigint, step bigint, day integer, orders bigint) RETURNS TABLE (
    customer_id bigint, first_name text, last_name text, email text, country text, gender text, date_of_birth date
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT
        number,
        (ARRAY['Aline', 'Claude', 'Diane', 'Eric', 'Grace', 'Jean-Paul', 'Solange', 'Théogène'])[1 + number % 8],
        (ARRAY['Gasana', 'Habimana', 'Kamanzi', 'Munyaneza', 'Niyonsenga', 'Uwase', 'Uwimana'])[1 + number % 7],
        'c' || number || CASE bench.version(number, orders / 10, day) WHEN 0 THEN '@example.com' ELSE '@example.org' END,
        (ARRAY['Rwanda', 'Uganda', 'Kenya', 'Tanzania', 'Burundi'])[1 + number % 5],
        (ARRAY['Female', 'Male'])[1 + number % 2],
        date '1950-01-01' + (20000 * bench.draw(number, 1))::integer
    FROM generate_series(first, last, step) AS number
$$;

CREATE FUNCTION bench.order_data(first bigint, last bigint, step bigint, day integer, orders bigint) RETURNS TABLE (
    order_id bigint, customer_id bigint, order_date date, product text, price numeric
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT
        number,
        -- Some buy often, most buy little.
        1 + floor(orders / 10 * bench.draw(number, 2) * bench.draw(number, 3))::bigint,
        date '2026-01-31' + bench.version(number, orders, day) - (1095 * greatest(0, orders - number) / orders)::integer,
        (ARRAY['Phone', 'Airtime', 'Data bundle', 'Router', 'Mobile money'])[1 + number % 5],
        round((100 + 49900 * bench.draw(number, 4))::numeric / 100 + bench.version(number, orders, day), 2)
    FROM generate_series(first, last, step) AS number
$$;

CREATE FUNCTION bench.payment_data(first bigint, last bigint, step bigint, day integer, orders bigint) RETURNS TABLE (
    payment_id bigint, customer_id bigint, order_id bigint, payment_date date, amount numeric
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT
        number,
        paid.customer_id,
        paid.order_id,
        least(paid.order_date + (number % 3)::integer, date '2026-01-31' + day),
        round(
            CASE number % 100 WHEN 9 THEN -0.5 WHEN 59 THEN -1 ELSE 1 END * paid.price
            + CASE number % 100 WHEN 59 THEN 0 ELSE bench.version(number, orders, day) END,
            2
        )
    FROM generate_series(first, last, step) AS number
    CROSS JOIN LATERAL bench.order_data(
        number - (number % 10 = 9)::integer, number - (number % 10 = 9)::integer, 1, 0, orders
    ) AS paid
$$;
