{{ config(unique_key='customer_id', indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

{{ news(
    ref('stg_customers'),
    'customer_id',
    ['first_name', 'last_name', 'email', 'country', 'gender', 'date_of_birth']
) }}
