"""The SQL files as the DAG and the deployment see them: where they are, what their headers say, which version."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SQL = ROOT / "sql"
# For administrators, and for DAGs of their own: who edits one of these holds no run back.
NOT_IN_A_RUN = {"admin", "forecast", "report"}


def texts(folders: Iterable[Path]) -> dict[str, bytes]:
    """Return the texts of the SQL files under the folders that are part of a run, by path from the root, in order."""
    paths = (path for folder in folders for path in folder.rglob("*.sql"))
    of_a_run = sorted(path for path in paths if path.relative_to(SQL).parts[0] not in NOT_IN_A_RUN)
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in of_a_run}


def fingerprint(folders: Iterable[Path]) -> str:
    """Return the sha256, in hex, over the names and texts of every SQL file under the folders."""
    digest = hashlib.sha256()
    for name, text in texts(folders).items():
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def file_fingerprints() -> dict[str, str]:
    """Return the sha256, in hex, of every SQL file that a run is made of, by its path from the root."""
    return {name: hashlib.sha256(text).hexdigest() for name, text in texts([SQL]).items()}


def deployed_fingerprint() -> str:
    """Return the fingerprint of what `make migrate` applies: migrations, definitions, and what distributes them."""
    return fingerprint([SQL / "migrations", SQL / "definitions", SQL / "distributed"])


def header(path: Path) -> str:
    """Return the comment at the top of a SQL file, without its dashes: what the file is for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "\n".join(line.removeprefix("--").strip() for line in lines[:end])


def qualified(reads: str) -> list[str]:
    """Return the names of a Reads line, each with its schema: a bare one has that of the name before it."""
    names: list[str] = []
    for name in filter(None, reads.removeprefix("nothing").split(", ")):
        schema = "" if "." in name or not names else names[-1].partition(".")[0] + "."
        names.append(schema + name)
    return names
