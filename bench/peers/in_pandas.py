"""The customer's value in pandas: money is added up in whole cents and divided in whole numbers."""

from datetime import date

import pandas as pd


def half_up(dividend: pd.Series | int, divisor: pd.Series | int) -> pd.Series | int:
    """A quotient of whole numbers that are not negative, rounded to a whole number as PostgreSQL rounds."""
    return (2 * dividend + divisor) // (2 * divisor)


def activity(orders: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """What each customer bought and paid, by customer_id: a paid order's payments add up to more than 0."""
    # A float holds any amount of two decimals below ten trillion so well that no cent is lost on the way.
    cents = (payments["amount"] * 100).round().astype("int64")
    net = cents.groupby(payments["order_id"]).sum()
    paid = orders[["order_id", "customer_id", "order_date"]].merge(net[net > 0].rename("cents"), on="order_id")
    return paid.groupby("customer_id").agg(
        total_orders=("cents", "size"),
        cents=("cents", "sum"),
        first_order_date=("order_date", "min"),
        last_order_date=("order_date", "max"),
    )


def value(known: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """What each customer is worth; known has every customer in its index, NaN for those without a paid order."""
    first, last = known["first_order_date"], known["last_order_date"]
    orders, cents = (known[name].fillna(0).astype("int64") for name in ("total_orders", "cents"))
    again = orders > 1
    days = int((last[again] - first[again]).dt.days.sum())
    # In tenths of a year, of 365.25 days.
    lifespan = max(10, half_up(1000 * days, 36525 * int(again.sum()))) if again.any() else 10
    today = date.fromisoformat(as_of)
    whole = 12 * (today.year - first.dt.year) + today.month - first.dt.month - (first.dt.day > today.day)
    months = whole.fillna(12).clip(lower=12).astype("int64")
    return pd.DataFrame(
        {
            "total_orders": orders,
            "total_amount": cents / 100,
            "avg_order_value": half_up(cents, orders.clip(lower=1)).where(orders > 0) / 100,
            "ltv": half_up(cents * lifespan * 12, 10 * months) / 100,
            "first_order_date": first,
            "last_order_date": last,
            "orders_per_year": half_up(orders * 12 * 10_000, months) / 10_000,
            "avg_lifespan_years": lifespan / 10,
        }
    )
