"""Deliveries from object stores: what a real one answers, and what becomes of a run when it does not."""

import gzip
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import chain, repeat
from pathlib import Path

import httpx
import object_stores
import pytest
import server
from conftest import ROOT
from object_stores import Store
from pipeline import begin, run_pipeline
from sql_files import SQL
from support import customer, deliver, execute, fetch, open_limits, rows_of, warehouse_of
from test_bench import PUBLISHED

DAY = "2026-01-31"
SOURCES = ["customer_data", "order_data", "payment_data"]
DATA = {source: (ROOT / "data" / f"{source}.csv").read_bytes() for source in SOURCES}
MOST_MEMORY = 100_000_000
HEADER = b"payment_id,customer_id,order_id,payment_date,amount\n"


def of(*stores: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("store", stores, indirect=True)


EACH = of("s3", "azure", "gcs")
# The libraries of the other two try again by themselves, for up to a minute, before they say so.
EACH_IN_TIME = of("s3", *(pytest.param(name, marks=pytest.mark.faults) for name in ("azure", "gcs")))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Store]]:
    """A function that starts a store, once, and gives it."""
    with ExitStack() as ends:
        yield cache(lambda name: ends.enter_context(getattr(object_stores, name)(tmp_path_factory.mktemp(name))))


@pytest.fixture
def store(request: pytest.FixtureRequest, start: Callable[[str], Store]) -> Store:
    return start(request.param)


@pytest.fixture(scope="module")
def shared_warehouse(cluster: server.Server, template: str) -> Iterator[str]:
    with warehouse_of(cluster, template, "ltv_store") as url:
        yield url


@pytest.fixture
def empty(shared_warehouse: str) -> str:
    """The URL of a warehouse in which nothing has been loaded."""
    execute(
        shared_warehouse,
        "DROP SCHEMA raw CASCADE; CREATE SCHEMA raw; TRUNCATE audit.runs RESTART IDENTITY CASCADE;"
        + (SQL / "definitions" / "sources.sql").read_text(),
    )
    return shared_warehouse


@pytest.fixture(scope="module")
def published(cluster: server.Server, template: str) -> list[tuple]:
    """What is published of data/ where it lies."""
    with warehouse_of(cluster, template, "ltv_here") as url:
        run_pipeline(url, ROOT / "data", DAY)
        return fetch(url, PUBLISHED)


# Lines of one length, hard to compress: what is repeated lies further back than gzip looks.
LINES = 8192
BLOCK = b"".join(b"%08d,1,1,2025-01-01,%s\n" % (n, secrets.token_hex(60).encode()) for n in range(LINES))


def zipped(content: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for block in content:
        yield packer.compress(block)
    yield packer.flush()


@pytest.mark.parametrize(
    ("store", "megabytes", "files"),
    [
        pytest.param("s3", 200, ["payment_data.csv"], id="s3"),
        pytest.param("s3", 1000, ["payment_data.csv"], id="s3-gigabyte", marks=pytest.mark.faults),
        pytest.param("s3", 100, ["payment_data.csv.gz"], id="s3-gzip"),
        pytest.param("s3", 100, ["payment_data_1.csv", "payment_data_2.csv.gz", "payment_data_3.csv"], id="s3-parts"),
        pytest.param("azure", 100, ["payment_data.csv"], id="azure"),
        pytest.param("gcs", 100, ["payment_data.csv"], id="gcs"),
    ],
    indirect=["store"],
)
def test_a_large_file_takes_little_memory(
    megabytes: int, files: list[str], store: Store, empty: str, request: pytest.FixtureRequest
) -> None:
    folder = "large-" + request.node.callspec.id
    times = megabytes * 1_000_000 // len(BLOCK) // len(files) + 1
    for name in files:
        if not store.back_door:
            store.worker("put_in_pieces", store.url(folder), name, HEADER, BLOCK, times)
            continue
        content = chain([HEADER], repeat(BLOCK, times))
        content = zipped(content) if name.endswith(".gz") else content
        file = f"{store.back_door}/{object_stores.BUCKET}/{folder}/{name}"
        httpx.put(file, content=content, timeout=300).raise_for_status()
    begin(empty, DAY, "night")
    before, peak = store.worker("load", empty, "payment_data", store.url(folder), "night")
    assert fetch(empty, "SELECT sum(records) FROM audit.loads") == [(LINES * times * len(files),)]
    print(f"{megabytes} MB as {files}: {peak - before:,} bytes above {before:,}")
    assert peak - before < MOST_MEMORY


def attempt(store: Store, url: str, folder: str) -> tuple[str, str, str]:
    """Try a task of raw in a run of its own; return its error, its sentence and what the retry policy makes of it.

    A try that fails leaves nothing, and no secret anywhere.
    """
    before, run_id = rows_of(url, "raw"), secrets.token_hex(4)
    begin(url, DAY, run_id)
    store.warm_up()
    log = store.worker.log
    said = store.worker("try_task", "raw.payment_data", run_id, DAY, url, folder, str(log))
    ((state, reason),) = fetch(url, "SELECT state, reason FROM audit.runs WHERE dag_run_id = %s", [run_id])
    assert (state, reason) == (("failed", f"raw.payment_data: {said[1]}") if said[2] == "FAIL" else ("open", None))
    assert not [secret for secret in store.secrets if secret in said[1] + log.read_text()]
    if said[0]:
        assert rows_of(url, "raw") == before
    print(said)
    return said


def records(url: str) -> list[tuple]:
    return fetch(
        url, "SELECT file, bytes, records FROM audit.loads WHERE run_no = audit.run_no() ORDER BY first_line_no"
    )


LOADED = [("payment_data.csv", len(DATA["payment_data"]), 3000)]
GOOD = ("", "", "")


@EACH
def test_a_whole_run_publishes_what_it_does_from_a_folder(store: Store, published: list[tuple], warehouse: str) -> None:
    store.put(f"whole/{DAY}", **DATA)
    store.worker("run_pipeline", warehouse, store.url("whole/{as_of}/"), DAY)
    assert fetch(warehouse, PUBLISHED) == published
    assert len(published) == 500


@of("s3")
def test_the_same_delivery_is_not_loaded_again(store: Store, warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    clean = deliver(
        tmp_path,
        customer_data=[customer(1)],
        order_data=[[1, 1, "2025-06-11", "Phone", "10.00"]],
        payment_data=[[1, 1, 1, "2025-06-12", "10.00"]],
    )
    store.put("same", **{source: (clean / f"{source}.csv").read_bytes() for source in SOURCES})
    for run_id, same_as in (("first", [(None,)]), ("second", [(1,)])):
        store.worker("run_pipeline", warehouse, store.url("same"), DAY, run_id)
        loads = "SELECT DISTINCT same_as_run_no FROM audit.loads WHERE run_no = audit.run_no()"
        assert fetch(warehouse, loads) == same_as


@EACH
def test_gzip_and_numbered_parts(store: Store, published: list[tuple], warehouse: str) -> None:
    header, *lines = DATA["order_data"].splitlines(keepends=True)
    parts = {
        f"order_data_{number}": header + b"".join(lines[start : start + 1000])
        for number, start in ((2, 0), (9, 1000), (10, 2000))
    }
    store.put("parts", payment_data=DATA["payment_data"], **parts)
    store.worker("put", store.url("parts"), {"customer_data.csv.gz": gzip.compress(DATA["customer_data"])})
    store.worker("run_pipeline", warehouse, store.url("parts"), DAY)
    assert fetch(warehouse, PUBLISHED) == published
    assert [name for name, *_ in fetch(warehouse, "SELECT file FROM audit.loads ORDER BY source, first_line_no")] == [
        "customer_data.csv.gz",
        *(f"order_data_{number}.csv" for number in (2, 9, 10)),
        "payment_data.csv",
    ]


@EACH
def test_what_is_not_there_is_said_and_not_tried_again(store: Store, empty: str) -> None:
    store.put("few", customer_data=DATA["customer_data"])
    here, nowhere, no_bucket = store.url("few"), store.url("nowhere"), store.url("few", bucket="nobodys")
    assert attempt(store, empty, here) == ("MissingFileError", f"payment_data.csv is missing in {here}", "FAIL")
    told = "is no folder: look at DATA, or at the Airflow Variable ltv_source"
    assert attempt(store, empty, nowhere) == ("MissingFileError", f"{nowhere} {told}", "FAIL")
    assert attempt(store, empty, no_bucket) == ("MissingFileError", f"{no_bucket} {told}", "FAIL")
    file = store.url("few/customer_data.csv")
    assert attempt(store, empty, file) == ("MissingFileError", f"{file} {told}", "FAIL")


@EACH
def test_what_a_store_has_said_is_asked_again(store: Store) -> None:
    store.proxy.make("", "")
    store.put("asked", customer_data=b"12")
    url, by_another = store.url("asked"), store.url("asked", "through_proxy")
    later = {"customer_data.csv": b"123", "payment_data.csv": b"1234"}
    assert store.worker("sizes_before_and_after", url, by_another, later) == [
        {"customer_data.csv": 2},
        {"customer_data.csv": 3, "payment_data.csv": 4},
    ]


@pytest.mark.parametrize(
    ("store", "connection"),
    [("s3", "wrong_key"), ("s3", "wrong_secret"), ("azure", "wrong_key"), ("gcs", "through_proxy")],
    indirect=["store"],
)
def test_who_is_refused_hears_by_which_connection(connection: str, store: Store, empty: str) -> None:
    store.put("refused", **DATA)
    # The emulator of Google's lets everybody in.
    store.proxy.make("403", "")
    error, sentence, action = attempt(store, empty, store.url("refused", connection))
    assert (error, action) == ("PermissionError", "FAIL")
    assert "access is refused: " in sentence
    assert sentence.endswith(f"; look at the Airflow connection {connection}")


@EACH_IN_TIME
@pytest.mark.parametrize("asked", ["payment_data.csv", "troubled"], ids=["file", "folder"])
def test_a_store_that_is_too_busy_is_tried_again(asked: str, store: Store, empty: str) -> None:
    store.put("troubled", **DATA)
    folder = store.url("troubled", "through_proxy")
    store.proxy.make("503", asked)
    error, sentence, action = attempt(store, empty, folder)
    assert (error, action) == ("OSError", "RETRY")
    assert "the store cannot be read: " in sentence
    assert store.proxy.met
    store.proxy.make("", "")
    assert attempt(store, empty, folder) == GOOD
    assert records(empty) == LOADED


@EACH_IN_TIME
def test_a_store_that_is_gone_is_tried_again(store: Store, empty: str) -> None:
    error, sentence, action = attempt(store, empty, store.url("troubled", "gone"))
    assert (error, action) == ("OSError", "RETRY")
    assert "the store cannot be read: " in sentence


@EACH_IN_TIME
@pytest.mark.parametrize(
    ("trouble", "name"),
    [("cut", "payment_data.csv"), ("ends early", "payment_data.csv"), ("ends early", "payment_data.csv.gz")],
)
def test_a_connection_that_ends_half_way_leaves_nothing(trouble: str, name: str, store: Store, empty: str) -> None:
    # Hardly compressed, so that the file comes in several requests.
    data = gzip.compress(DATA["payment_data"], 0) if name.endswith(".gz") else DATA["payment_data"]
    store.worker("put", store.url(f"half/{name}"), {name: data})
    folder = store.url(f"half/{name}", "through_proxy")
    store.proxy.make(trouble, name)
    error, sentence, action = attempt(store, empty, folder)
    assert (error, action) == ("OSError" if trouble == "cut" else "FileChangedError", "RETRY")
    assert name in sentence
    assert store.proxy.met
    # Once is for the library: it asks for the block again.
    store.proxy.make("cut", name, times=1)
    assert attempt(store, empty, folder) == GOOD
    assert store.proxy.met == 1
    assert records(empty) == [(name, len(data), 3000)]


@of("s3")
def test_an_object_that_is_replaced_while_it_is_read_is_not_taken(store: Store, empty: str) -> None:
    store.put("replaced", **DATA)
    folder = store.url("replaced", "through_proxy")
    other = b"".join(DATA["payment_data"].splitlines(keepends=True)[:-50])
    file = f"{store.back_door}/{object_stores.BUCKET}/replaced/payment_data.csv"
    store.proxy.make("meanwhile", "payment_data.csv", times=1)
    store.proxy.meanwhile = lambda: httpx.put(file, content=other, timeout=300).raise_for_status()
    error, sentence, action = attempt(store, empty, folder)
    assert (error, action) == ("OSError", "RETRY")
    assert "no longer exists" in sentence
    assert store.proxy.met
    assert attempt(store, empty, folder) == GOOD
    assert records(empty) == [("payment_data.csv", len(other), 2950)]
