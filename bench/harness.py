"""What the benchmarks stand on: a server of their own, deliveries of any size, and whole runs of the DAG's tasks."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dags"), str(ROOT / "ops")]

import migrate
import pipeline
import psycopg
import server
import structlog

SOURCES = {
    "customer_data": ["customer_id", "first_name", "last_name", "email", "country", "gender", "date_of_birth"],
    "order_data": ["order_id", "customer_id", "order_date", "product", "price"],
    "payment_data": ["payment_id", "customer_id", "order_id", "payment_date", "amount"],
}
# What a small server of its own would have; the same for everybody who is compared.
SETTINGS = {
    "shared_buffers": "2GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "15min",
    "effective_cache_size": "12GB",
}


def quiet() -> None:
    """Keep the tasks' own log lines out of what is printed."""
    pipeline.tasks()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@contextmanager
def own_server(place: Path) -> Iterator[server.Server]:
    """A server under a folder, removed with everything in it when the block ends."""
    made = server.create(place)
    try:
        with psycopg.connect(made.admin_url, autocommit=True) as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        made.stop()
        made.start()
        migrate.make_roles(made.admin_url, made.url)
        yield made
    finally:
        made.remove()


@contextmanager
def own_database(made: server.Server, name: str, template: str = "template1") -> Iterator[str]:
    """A database of the server's, owned by the pipeline's login and dropped when the block ends; yields its URL."""
    with psycopg.connect(made.admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER ltv_pipeline TEMPLATE {template}")
        try:
            yield made.url.removesuffix("/warehouse") + f"/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def write(made: server.Server, folder: Path, orders: int, parts: Callable[[int], list[tuple[int, ...]]]) -> Path:
    """Write the three files: the rows first, last, step, day that `parts` names, given how many are known on day 0."""
    folder.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(made.admin_url.removesuffix("/warehouse") + "/postgres") as connection:
        connection.execute((ROOT / "bench" / "deliveries.sql").read_text(encoding="utf-8"))
        for source, columns in SOURCES.items():
            with (folder / f"{source}.csv").open("wb") as file:
                file.write(",".join(columns).encode() + b"\n")
                for part in parts(orders // 10 if source == "customer_data" else orders):
                    query = f"SELECT * FROM bench.{source}({', '.join(map(str, part))}, {orders})"
                    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
                        for chunk in copy:
                            file.write(chunk)
        connection.rollback()
    return folder


def delta(made: server.Server, place: Path, orders: int, day: int) -> Path:
    """Write what changed on a day, and what was new: a hundredth of each file; return the folder."""

    def parts(known: int) -> list[tuple[int, ...]]:
        new = known // 200
        return [(day % 200 or 200, known, 200, day), (known + (day - 1) * new + 1, known + day * new, 1, day)]

    return write(made, place / f"delta-{day}", orders, parts)


def generate_first(made: server.Server, place: Path, orders: int) -> Path:
    """Write the first delivery of a company with so many orders; return the folder."""
    return write(made, place / f"full-{orders}", orders, lambda known: [(1, known, 1, 0)])


def generate(made: server.Server, place: Path, orders: int) -> dict[str, Path]:
    """Write the deliveries of a company with so many orders: the first, and a day later the delta and the snapshot."""
    return {
        "full": generate_first(made, place, orders),
        "delta": delta(made, place, orders, 1),
        "snapshot": write(made, place / "snapshot", orders, lambda known: [(1, known + known // 200, 1, 1)]),
    }


def side_by_side(jobs: list[Callable[[], object]]) -> float:
    """Do every job at once; return the seconds until the last has ended."""
    started = time.monotonic()
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()
    return time.monotonic() - started


def in_order(tasks: Iterable[Any], work: Callable[[Any], object], workers: int = 4) -> dict[str, tuple[float, float]]:
    """Do a DAG's tasks as its arrows allow, so many at once; return when each began and ended, in seconds."""
    todo = {task.task_id: task for task in tasks}
    before = {name: task.upstream_task_ids & todo.keys() for name, task in todo.items()}
    ended: dict[str, tuple[float, float]] = {}

    def timed(task: Any) -> None:
        started = time.monotonic()
        work(task)
        ended[task.task_id] = (started, time.monotonic())

    running: set[Future] = set()
    with ThreadPoolExecutor(workers) as pool:
        while todo or running:
            running |= {pool.submit(timed, todo.pop(name)) for name in list(todo) if before[name] <= ended.keys()}
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
    return ended


def run(url: str, folder: Path, as_of: str, run_id: str, workers: int = 4) -> dict[str, float]:
    """Run the DAG's tasks as its arrows allow, so many at once, each in a connection of its own.

    Returns the seconds of each task, and as `total` those from the first COPY to the end.
    """

    def work(task: Any) -> None:
        with psycopg.connect(url) as connection:
            pipeline.commit_task(connection, task, folder, run_id)

    pipeline.begin(url, as_of, run_id)
    started = time.monotonic()
    ended = in_order((task for task in pipeline.tasks() if task.task_id != "begin"), work, workers)
    return {**{name: end - start for name, (start, end) in ended.items()}, "total": time.monotonic() - started}
