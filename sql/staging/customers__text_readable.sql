-- staging.customers__text_readable: a warning: texts that were read in a wrong encoding before they came here.
SELECT
    audit.verdict(
        claim => 'staging.customers__text_readable',
        bad_rows => count(*) FILTER (WHERE judged.is_mojibake),
        checked_rows => count(*),
        fail_over => 1,
        warn_over => 0,
        example => 'customer ' || min(judged.customer_id) FILTER (WHERE judged.is_mojibake)
    ) AS text_readable
FROM (
    SELECT
        customers.customer_id,
        audit.is_mojibake(
            concat_ws(
                ' ', customers.first_name, customers.last_name, customers.email, customers.country, customers.gender
            )
        ) AS is_mojibake
    FROM staging.customers
    WHERE customers.reason IS NULL
) AS judged;
