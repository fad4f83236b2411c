-- Largest changes of ltv: twenty customers at most, with the parts that moved.
WITH moved AS (
    SELECT
        base.ltv AS base_ltv,
        edited.ltv AS edited_ltv,
        coalesce(base.customer_id, edited.customer_id) AS customer_id,
        coalesce(edited.ltv, 0) - coalesce(base.ltv, 0) AS change,
        CASE
            WHEN base.customer_id IS NULL THEN 'only in edited'
            WHEN edited.customer_id IS NULL THEN 'only in base'
            ELSE (
                SELECT
                    string_agg(
                        format('%s %s → %s', before.key, coalesce(before.value, '–'), coalesce(after.value, '–')), ', '
                        ORDER BY before.key
                    )
                FROM jsonb_each_text(to_jsonb(base.*)) AS before
                INNER JOIN jsonb_each_text(to_jsonb(edited.*)) AS after ON before.key = after.key
                WHERE
                    before.value IS DISTINCT FROM after.value
                    AND before.key NOT IN ('ltv', 'changed_as_of', 'run_no', 'updated_at')
            )
        END AS what_moved
    FROM marts.customer_ltv AS base
    FULL JOIN edited.marts__customer_ltv AS edited ON base.customer_id = edited.customer_id
    WHERE base.ltv IS DISTINCT FROM edited.ltv
    ORDER BY
        abs(coalesce(edited.ltv, 0) - coalesce(base.ltv, 0)) DESC, coalesce(base.customer_id, edited.customer_id) ASC
    LIMIT 20
)

SELECT
    moved.customer_id::text AS customer,
    moved.base_ltv,
    moved.edited_ltv,
    moved.change,
    moved.what_moved
FROM moved
ORDER BY abs(moved.change) DESC, moved.customer_id ASC;
