"""The SQL files as the DAG and the deployment see them: where they are, what their headers say, which version."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SQL = ROOT / "sql"


def fingerprint(folders: Iterable[Path]) -> str:
    """Return the sha256, in hex, over the names and texts of every SQL file under the folders.

    Without those of the forecast, which is no part of a run: who edits one holds no run back.
    """
    digest = hashlib.sha256()
    paths = (path for folder in folders for path in folder.rglob("*.sql"))
    for path in sorted(path for path in paths if path.parent != SQL / "forecast"):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def deployed_fingerprint() -> str:
    """Return the fingerprint of what `make migrate` applies: migrations and definitions."""
    return fingerprint([SQL / "migrations", SQL / "definitions"])


def header(path: Path) -> str:
    """Return the comment at the top of a SQL file, without its dashes: what the file is for."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "\n".join(line.removeprefix("--").strip() for line in lines[:end])
