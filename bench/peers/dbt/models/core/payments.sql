{{ config(
    unique_key='payment_id',
    indexes=[{'columns': ['payment_id'], 'unique': true}, {'columns': ['customer_id']}]
) }}

{{ news(ref('stg_payments'), 'payment_id', ['customer_id', 'order_id', 'payment_date', 'amount']) }}
