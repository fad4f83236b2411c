{{ config(post_hook=["{{ last_line_wins('payment_id') }}", "ANALYZE {{ this }}"]) }}

WITH cleaned AS (
    SELECT
        line_no,
        {{ cleaned('payment_id') }} AS payment_id,
        {{ cleaned('customer_id') }} AS customer_id,
        {{ cleaned('order_id') }} AS order_id,
        {{ cleaned('payment_date') }} AS payment_date,
        {{ cleaned('amount') }} AS amount
    FROM {{ source('raw', 'payment_data') }}
    -- a fence: each field is cleaned once
    OFFSET '0'
),

judged AS (
    SELECT
        *,
        CASE
            WHEN payment_id IS NULL
                THEN 'payment_id missing: a payment needs a number'
            WHEN NOT {{ is_id('payment_id') }}
                THEN 'payment_id not_a_whole_number: digits only, no leading zero'
            WHEN customer_id IS NULL
                THEN 'customer_id missing: a payment needs its customer'
            WHEN NOT {{ is_id('customer_id') }}
                THEN 'customer_id not_a_whole_number: digits only, no leading zero'
            WHEN order_id IS NULL
                THEN 'order_id missing: a payment needs its order'
            WHEN NOT {{ is_id('order_id') }}
                THEN 'order_id not_a_whole_number: digits only, no leading zero'
            WHEN payment_date IS NULL
                THEN 'payment_date missing: a payment needs a day'
            WHEN NOT {{ is_day('payment_date') }}
                THEN 'payment_date not_a_day: YYYY-MM-DD'
            WHEN amount IS NULL
                THEN 'amount missing: a payment needs an amount'
            WHEN NOT {{ is_amount('amount') }}
                THEN 'amount not_an_amount: digits and at most two decimals, no separators, below 1000000000000'
            WHEN payment_date::date < '1900-01-01'
                THEN 'payment_date too_early: before 1900'
            WHEN payment_date::date > {{ as_of() }}
                THEN 'payment_date in_the_future: after the as-of date'
        END AS reason
    FROM cleaned
    -- a fence: the CASE is evaluated once
    OFFSET '0'
)

SELECT
    line_no,
    CASE WHEN reason IS NULL THEN payment_id::bigint END AS payment_id,
    CASE WHEN reason IS NULL THEN customer_id::bigint END AS customer_id,
    CASE WHEN reason IS NULL THEN order_id::bigint END AS order_id,
    CASE WHEN reason IS NULL THEN payment_date::date END AS payment_date,
    CASE WHEN reason IS NULL THEN amount::numeric(14, 2) END AS amount,
    reason
FROM judged
