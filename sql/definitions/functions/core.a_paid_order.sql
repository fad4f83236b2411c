-- core.a_paid_order: whether an order is a paid one, by its net payments (refunds deducted) and its price.
-- Everything that asks for paid orders asks here. Inlined: it costs no call. Its name comes before core.activity, which
-- needs it to be there.
CREATE OR REPLACE FUNCTION core.a_paid_order(net_payments numeric, price numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN net_payments > 0;
COMMENT ON FUNCTION core.a_paid_order(numeric, numeric) IS 'Whether an order is a paid one: its payments, refunds deducted, add up to more than 0.';
