-- audit.stands_for: whether a text is a customer's number, however it is written.
CREATE OR REPLACE FUNCTION audit.stands_for(value text, customer_id bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
-- Most texts are plain numbers: to compare them is cheaper than to read them.
RETURN value = customer_id::text OR (NOT audit.is_id(value) AND audit.number_of(value) = customer_id);
COMMENT ON FUNCTION audit.stands_for(text, bigint) IS 'Whether a text is a customer''s number, however it is written (audit.number_of).';
