"""What the tests stand on: one real server from the pinned wheel, one migrated template, a fresh database a test."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import migrate
import psycopg
import pytest
import server
from pytest_postgresql.janitor import DatabaseJanitor

ROOT = Path(__file__).resolve().parents[1]


def database_url(cluster: server.Server, name: str, *, admin: bool = False) -> str:
    """The URL of a database of the test cluster, by the pipeline's login or by the administrator's."""
    return (cluster.admin_url if admin else cluster.url).removesuffix("/warehouse") + f"/{name}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[server.Server]:
    """A server of the tests' own, removed when they end."""
    folder = Path(tempfile.mkdtemp(prefix="ltv-tests-"))
    made = server.create(folder)
    yield made
    made.remove()
    shutil.rmtree(folder)


def janitor(cluster: server.Server, name: str, **how: object) -> DatabaseJanitor:
    """pytest-postgresql's maker and dropper of one database."""
    return DatabaseJanitor(
        user="postgres",
        password=cluster.admin_password,
        host="127.0.0.1",
        port=cluster.port,
        dbname=name,
        **how,
    )


@pytest.fixture(scope="session")
def template(cluster: server.Server) -> Iterator[str]:
    """The name of a database that has been migrated and never used."""
    with janitor(cluster, "ltv_template", as_template=True):
        migrate.migrate(database_url(cluster, "ltv_template"), database_url(cluster, "ltv_template", admin=True))
        yield "ltv_template"


@pytest.fixture
def new_database(cluster: server.Server, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """A function that makes a database, empty or from a template, and returns its URL; dropped after the test."""
    # The roles, which are the whole server's, come with the template: an empty database has an owner too.
    request.getfixturevalue("template")
    made: list[DatabaseJanitor] = []

    def make(name: str = "ltv_test", template: str | None = None) -> str:
        database = janitor(cluster, name, template_dbname=template)
        database.drop()
        database.init()
        made.append(database)
        with psycopg.connect(database_url(cluster, name, admin=True), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" OWNER TO ltv_pipeline')
        return database_url(cluster, name)

    yield make
    for database in made:
        database.drop()


@pytest.fixture
def warehouse(new_database: Callable[..., str], template: str) -> str:
    """The URL of a fresh, migrated warehouse."""
    return new_database(template=template)
