"""The usual way in Python: read_csv, merge, groupby, and the result into PostgreSQL by INSERTs.

It keeps no orders and no payments, so there is no delta: whatever has changed, it reads everything again.
"""

from pathlib import Path

import in_pandas
import kept
import pandas as pd


def full(folder: Path, as_of: str) -> None:
    """Read everything, compute everything, replace the result."""
    customers = pd.read_csv(folder / kept.FILES["customers"], usecols=["customer_id"], dtype="int64")
    orders = pd.read_csv(
        folder / kept.FILES["orders"],
        usecols=["order_id", "customer_id", "order_date"],
        dtype={"order_id": "int64", "customer_id": "int64"},
        parse_dates=["order_date"],
        date_format="%Y-%m-%d",
    )
    payments = pd.read_csv(
        folder / kept.FILES["payments"],
        usecols=["order_id", "amount"],
        dtype={"order_id": "int64", "amount": "float64"},
    )
    known = in_pandas.activity(orders, payments).reindex(customers["customer_id"])
    result = in_pandas.value(known, as_of).reset_index()
    result = result.astype(object).where(result.notna(), None)
    kept.create("customer_ltv")
    with kept.connect() as connection:
        connection.execute(kept.KEYS["customer_ltv"][0])
        insert = f"INSERT INTO peer.customer_ltv VALUES ({', '.join(['%s'] * len(result.columns))})"
        connection.cursor().executemany(insert, result.itertuples(index=False, name=None))


if __name__ == "__main__":
    kept.main(full=full)
