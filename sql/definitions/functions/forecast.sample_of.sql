-- forecast.sample_of: the sample a customer is in: of 1 in 100, of 10 with those, or of 100 with all. Always the same.
CREATE OR REPLACE FUNCTION forecast.sample_of(customer_id bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(hashint8(customer_id) % 100) < 1 THEN 1
    WHEN abs(hashint8(customer_id) % 100) < 10 THEN 10
    ELSE 100
END;
COMMENT ON FUNCTION forecast.sample_of(bigint) IS 'The smallest share of the customers, in per cent, that the customer belongs to: 1, 10 or 100.';
