{{ config(
    unique_key='order_id',
    indexes=[{'columns': ['order_id'], 'unique': true}, {'columns': ['customer_id']}]
) }}

{{ news(ref('stg_orders'), 'order_id', ['customer_id', 'order_date', 'product', 'price']) }}
