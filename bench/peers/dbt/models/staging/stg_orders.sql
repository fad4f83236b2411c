{{ config(post_hook=["{{ last_line_wins('order_id') }}", "ANALYZE {{ this }}"]) }}

WITH cleaned AS (
    SELECT
        line_no,
        {{ cleaned('order_id') }} AS order_id,
        {{ cleaned('customer_id') }} AS customer_id,
        {{ cleaned('order_date') }} AS order_date,
        {{ cleaned('product') }} AS product,
        {{ cleaned('price') }} AS price
    FROM {{ source('raw', 'order_data') }}
    -- a fence: each field is cleaned once
    OFFSET '0'
),

judged AS (
    SELECT
        *,
        CASE
            WHEN order_id IS NULL
                THEN 'order_id missing: an order needs a number'
            WHEN NOT {{ is_id('order_id') }}
                THEN 'order_id not_a_whole_number: digits only, no leading zero'
            WHEN customer_id IS NULL
                THEN 'customer_id missing: an order needs its customer'
            WHEN NOT {{ is_id('customer_id') }}
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN order_date IS NULL
                THEN 'order_date missing: an order needs a day'
            WHEN NOT {{ is_day('order_date') }}
                THEN 'order_date not_a_day: YYYY-MM-DD'
            WHEN {{ swallowed_a_line('product') }}
                THEN 'product swallowed_a_line: a quote was opened and closed lines later'
            WHEN price IS NULL
                THEN 'price missing: an order needs a price'
            WHEN NOT {{ is_amount('price') }}
                THEN 'price not_an_amount: digits and at most two decimals, no separators, below 1000000000000'
            WHEN price::numeric < 0
                THEN 'price negative: a price is 0 or more'
            WHEN order_date::date < '1900-01-01'
                THEN 'order_date too_early: before 1900'
            WHEN order_date::date > {{ as_of() }}
                THEN 'order_date in_the_future: after the as-of date'
        END AS reason
    FROM cleaned
    -- a fence: the CASE is evaluated once
    OFFSET '0'
)

SELECT
    line_no,
    CASE WHEN reason IS NULL THEN order_id::bigint END AS order_id,
    CASE WHEN reason IS NULL THEN customer_id::bigint END AS customer_id,
    CASE WHEN reason IS NULL THEN order_date::date END AS order_date,
    product,
    CASE WHEN reason IS NULL THEN price::numeric(14, 2) END AS price,
    reason
FROM judged
