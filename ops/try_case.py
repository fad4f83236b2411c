"""Run one SQL file on one case and show what it made beside what was expected: `make try`.

FILE is a file of sql/, CASE a folder of its cases by its name. It works in a database of its own on the warehouse's
server, which is dropped at the end. The exit code is 0 only if all is as expected.
"""

import os
import sys
from pathlib import Path

import cases
import diff
import migrate
import psycopg

FUNCTIONS = cases.ROOT / "sql" / "definitions" / "functions"


def chosen(file: str, name: str) -> Path:
    """Return the folder of the case; raise SystemExit with those there are where none has this name."""
    path = Path(file).resolve()
    stem = path.stem if "." in path.stem else f"{path.parent.name}.{path.stem}"
    known = sorted(found.parent for found in (cases.CASES / stem).glob("*/expect.csv"))
    # Another folder's file of that name would not be the one that runs.
    if not file or not path.is_file() or not path.is_relative_to(cases.ROOT / "sql"):
        raise SystemExit(f"make try: FILE={file} is no SQL file of this folder: as in FILE=sql/staging/orders.sql")
    if not known and path.is_relative_to(FUNCTIONS):
        raise SystemExit(f"make try: a function has no cases of its own: name a file that calls {stem}, and its case")
    if not known:
        raise SystemExit(f"make try: FILE={file} has no case yet: make tests/cases/{stem}/<what it shows>/")
    for case in known:
        # By its path too: that is what a shell completes.
        if name and (case.name == name or case == Path(name).resolve()):
            return case
    names = "\n".join(f"  {case.name}" for case in known)
    said = f"CASE={name} is no case of {stem}; these are" if name else f"which case of {stem}? CASE= names one of these"
    raise SystemExit(f"make try: {said}:\n{names}")


def side_by_side(header: list[str], expected: list[list[str]], got: list[list[str]]) -> str:
    """Return both lists of rows in two columns; rows with one first field share a line, and what differs is marked."""
    left, right = [row for row in expected if row not in got], [row for row in got if row not in expected]
    pairs: list[tuple[list[str], list[str]]] = [(row, row) for row in expected if row in got]
    for row in left:
        other = next((other for other in right if other[:1] == row[:1]), [])
        right = [kept for kept in right if kept is not other]
        pairs.append((row, other))
    pairs += [([], row) for row in right]
    lines = [("  ", "expected", "got"), ("  ", ",".join(header), ",".join(header))]
    lines += [("  " if one == other else "≠ ", ",".join(one), ",".join(other)) for one, other in sorted(pairs)]
    width = max(len(one) for _, one, _ in lines)
    return "\n".join(f"{mark}{one:<{width}} | {other}".rstrip() for mark, one, other in lines)


def main() -> int:
    """Run the file on the case and print both sides; return the exit code."""
    case = chosen(os.environ.get("FILE", ""), os.environ.get("CASE", ""))
    url, admin_url = diff.warehouse()
    is_as_expected = True
    with diff.databases(admin_url) as (connection, name):
        made = diff.make(connection, url, f"{name}_case")
        migrate.migrate(made)
        with psycopg.connect(made) as inside:
            try:
                # What it rebuilds has to be there, so the file runs here too.
                cases.prepare(inside)
                inside.commit()
                cases.arrange(inside, case)
                inside.add_notice_handler(lambda notice: print(f"NOTICE: {notice.message_primary}"))
                cases.act(inside, case)
                for table, header, expected, got in cases.outcomes(inside, case):
                    is_as_expected &= expected == got
                    print(f"{table}: {'as expected' if expected == got else 'not as expected'}")
                    print(side_by_side(header, expected, got), end="\n\n")
            except cases.CaseError as error:
                print(error)
                return 1
            except psycopg.Error as error:
                print(f"{os.environ['FILE']}: {error}")
                return 1
            inside.rollback()
    return 0 if is_as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
