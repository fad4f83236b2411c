"""Readers of the mart while it is published: they see whole versions, and wait for nobody."""

from collections.abc import Callable, Iterator
from threading import Condition, Thread

import psycopg
import pytest
import server
from conftest import ROOT, database_url
from pipeline import begin, run_pipeline, run_task, tasks
from support import as_if_built, execute, fetch, warehouse_of

READERS = 16
PUBLISHES = 20
AS_OF = "2026-01-31"
# One statement sees one snapshot: rows and freshness have to be of the same publish.
VERSION = """
SELECT md5(string_agg(kept::text, E'\\n' ORDER BY customer_id)), (SELECT run_no FROM marts.freshness)
FROM marts.customer_ltv AS kept
"""
# Most customers change, one comes, one goes: every kind of write that a publish can do.
NEXT_CANDIDATE = """
UPDATE intermediate.customer_ltv SET ltv = ltv + 1 WHERE customer_id % 10 <> 0;
INSERT INTO intermediate.customer_ltv SELECT
    -customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date, orders_per_year,
    avg_lifespan_years
FROM intermediate.customer_ltv WHERE customer_id = (SELECT max(customer_id) FROM intermediate.customer_ltv);
DELETE FROM intermediate.customer_ltv WHERE customer_id = (SELECT max(customer_id) FROM intermediate.customer_ltv);
"""


class Readers:
    """Readers that read on and on, each in a thread and a connection of its own, until the block ends."""

    def __init__(self, url: str, login: str) -> None:
        self.moved = Condition()
        self.reads = [0] * READERS
        self.seen: list[set[tuple]] = [set() for _ in range(READERS)]
        self.errors: list[Exception] = []
        self.ending = False
        self.threads = [Thread(target=self.read, args=[number, url, login]) for number in range(READERS)]

    def read(self, number: int, url: str, login: str) -> None:
        try:
            # Time spent waiting for a lock, and not for a core that others use, is what a publish answers for.
            with psycopg.connect(
                url, user=login, password=login, autocommit=True, options="-c lock_timeout=100ms"
            ) as connection:
                while not self.ending:
                    version = connection.execute(VERSION).fetchone()
                    with self.moved:
                        self.seen[number].add(version)
                        self.reads[number] += 1
                        self.moved.notify_all()
        except Exception as error:
            with self.moved:
                self.errors.append(error)
                self.moved.notify_all()

    def each_reads_anew(self) -> None:
        """Wait until every reader has begun and ended a read since now; raise the error of one that could not."""
        with self.moved:
            # The one under way may have begun before.
            wanted = [count + 2 for count in self.reads]

            def have_read() -> bool:
                return bool(self.errors) or all(map(int.__ge__, self.reads, wanted))

            assert self.moved.wait_for(have_read, timeout=300), "a reader is stuck"
            if self.errors:
                raise self.errors[0]

    def __enter__(self) -> "Readers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        for thread in self.threads:
            thread.join()


@pytest.fixture
def published(cluster: server.Server, template: str) -> Iterator[str]:
    """The URL of a warehouse that has published the sample."""
    with warehouse_of(cluster, template, "ltv_readers") as url:
        run_pipeline(url, ROOT / "data", AS_OF, "the first version")
        yield url


@pytest.fixture
def analyst(cluster: server.Server) -> Iterator[str]:
    """A login, its own password, that is an analyst and nothing else."""
    with psycopg.connect(database_url(cluster, "postgres", admin=True), autocommit=True) as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'reader' IN ROLE ltv_analyst")
        yield "reader"
        admin.execute("DROP ROLE reader")


def publish(url: str, run_id: str, before_commit: Callable[[], None]) -> tuple:
    """Publish another candidate as the DAG's last tasks do; return what readers then see."""
    execute(url, NEXT_CANDIDATE)
    begin(url, AS_OF, run_id)
    as_if_built(url)
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id.startswith("marts.") or task.task_id == "end":
                with connection.transaction():
                    assert run_task(connection, task, "", run_id), task.task_id
                    if task.task_id != "end":
                        before_commit()
    return fetch(url, VERSION)[0]


def test_readers_see_whole_versions_and_wait_for_no_publish(published: str, analyst: str) -> None:
    versions = {fetch(published, VERSION)[0]}
    with Readers(published, analyst) as readers:
        readers.each_reads_anew()
        for number in range(PUBLISHES):
            versions.add(publish(published, f"version {number}", readers.each_reads_anew))
    assert readers.errors == []
    assert len({checksum for checksum, _ in versions}) == PUBLISHES + 1
    assert readers.seen == [versions] * READERS
    assert fetch(
        published, "SELECT action, count(DISTINCT run_no) FROM marts.customer_ltv_history WHERE run_no > 1 GROUP BY 1"
    ) == [("DELETE", PUBLISHES), ("INSERT", PUBLISHES), ("UPDATE", PUBLISHES)]


@pytest.mark.parametrize(
    ("publish_badly", "noticed"),
    [
        ("TRUNCATE marts.customer_ltv", "errors"),
        ("LOCK TABLE marts.freshness", "errors"),
        ("DELETE FROM marts.customer_ltv WHERE customer_id % 2 = 0; COMMIT", "seen"),
        ("SET LOCAL ltv.run_no = 1; UPDATE marts.freshness SET run_no = run_no + 1; COMMIT", "seen"),
    ],
    ids=["table-locked", "freshness-locked", "half-a-version", "freshness-ahead"],
)
def test_these_readers_would_notice(publish_badly: str, noticed: str, published: str, analyst: str) -> None:
    version = fetch(published, VERSION)[0]
    with psycopg.connect(published) as connection, Readers(published, analyst) as readers:
        connection.execute(publish_badly)
        if noticed == "errors":
            with pytest.raises(psycopg.errors.LockNotAvailable):
                readers.each_reads_anew()
        else:
            readers.each_reads_anew()
        connection.rollback()
    assert noticed == "errors" or all(seen - {version} for seen in readers.seen)


@pytest.mark.parametrize("role", ["ltv_analyst", "ltv_steward", "ltv_monitor", "ltv_report"])
def test_what_a_role_may_read_it_can(role: str, published: str, cluster: server.Server) -> None:
    """The functions that a view calls are called with its reader's rights, not its owner's."""
    readable = """SELECT pg_class.oid::regclass::text FROM pg_catalog.pg_class
        WHERE relkind IN ('r', 'v', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
            AND has_table_privilege(%s, pg_class.oid, 'SELECT')"""
    name = published.rpartition("/")[2]
    with psycopg.connect(database_url(cluster, name, admin=True), autocommit=True) as connection:
        relations = [row[0] for row in connection.execute(readable, [role])]
        connection.execute(f"SET ROLE {role}")
        assert relations
        for relation in relations:
            connection.execute(f"SELECT * FROM {relation}")
