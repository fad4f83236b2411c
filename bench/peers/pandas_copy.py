"""pandas at its best: Arrow underneath, COPY in and out, and of a delta only what it concerns is computed again."""

import io
from collections.abc import Iterator
from pathlib import Path

import in_pandas
import kept
import pandas as pd
import pyarrow as pa
from pyarrow import csv

WHOLE, AMOUNT, DAY, TEXT = (pd.ArrowDtype(kind) for kind in (pa.int64(), pa.float64(), pa.date32(), pa.string()))
TYPES = {
    **dict.fromkeys(["customer_id", "order_id", "payment_id", "total_orders"], WHOLE),
    **dict.fromkeys(["price", "amount", "total_amount"], AMOUNT),
    **dict.fromkeys(["date_of_birth", "order_date", "payment_date", "first_order_date", "last_order_date"], DAY),
    **dict.fromkeys(["first_name", "last_name", "email", "country", "gender", "product"], TEXT),
}
DAYS = ["first_order_date", "last_order_date"]


def read(source: Path | io.BytesIO) -> pd.DataFrame:
    """Read CSV with Arrow's reader, into Arrow's types."""
    return pd.read_csv(source, engine="pyarrow", dtype_backend="pyarrow", dtype=TYPES)


def lines(frame: pd.DataFrame) -> Iterator[memoryview]:
    """A frame as lines of CSV, written when COPY asks for them."""
    written = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    csv.write_csv(table, written, csv.WriteOptions(include_header=False))
    yield memoryview(written.getvalue())


def activity(orders: pd.DataFrame, payments: pd.DataFrame) -> pd.DataFrame:
    """What each customer bought and paid; groupby is faster on NumPy's types."""
    orders = orders[["order_id", "customer_id", "order_date"]].astype(
        {"order_id": "int64", "customer_id": "int64", "order_date": "datetime64[s]"}
    )
    payments = payments[["order_id", "amount"]].astype({"order_id": "int64", "amount": "float64"})
    return in_pandas.activity(orders, payments)


def value(known: pd.DataFrame, as_of: str) -> Iterator[memoryview]:
    """What each customer is worth, as lines of CSV."""
    computed = in_pandas.value(known, as_of).reset_index()
    yield from lines(computed.astype(dict.fromkeys(DAYS, DAY)))


def result(customers: pd.DataFrame, orders: pd.DataFrame, payments: pd.DataFrame, as_of: str) -> Iterator[memoryview]:
    """What each customer is worth by these rows, as lines of CSV: computed while the rows are on their way."""
    yield from value(activity(orders, payments).reindex(customers["customer_id"].astype("int64")), as_of)


def full(folder: Path, as_of: str) -> None:
    """Fill the empty tables from the files."""
    frames = {table: read(folder / file) for table, file in kept.FILES.items()}
    kept.create(*kept.TABLES)
    kept.fill_all(
        {name: lines(frame) for name, frame in frames.items()} | {"customer_ltv": result(**frames, as_of=as_of)}
    )
    kept.add_foreign_keys()


def delta(folder: Path, as_of: str) -> None:
    """Merge the files into the tables, and compute those again whom they concern."""
    with kept.connect() as connection:
        kept.receive(connection, {table: lines(read(folder / file)) for table, file in kept.FILES.items()})
        back = {name: read(io.BytesIO(kept.copy_out(connection, query))) for name, query in kept.READ_BACK.items()}
        known = back["known"].astype({"customer_id": "int64", **dict.fromkeys(DAYS, "datetime64[s]")})
        known = known.set_index("customer_id")
        known["cents"] = (known.pop("total_amount").astype("float64") * 100).round()
        known["total_orders"] = known["total_orders"].astype("float64")
        known.update(activity(back["orders"], back["payments"]))
        kept.stage(connection, "customer_ltv", value(known, as_of))
        kept.upsert(connection, "customer_ltv")


if __name__ == "__main__":
    kept.main(full=full, delta=delta)
