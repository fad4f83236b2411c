"""The operator that copies CSV files into raw: what it takes, what it refuses, and that a refusal changes nothing."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
import server
from conftest import ROOT
from csv_records import KEPT_BYTES, MOST_BYTES
from pipeline import begin
from sql_files import SQL
from support import COLUMNS, execute, fetch, rows_of, warehouse_of
from test_faults import wait_for

HEADER = "payment_id,customer_id,order_id,payment_date,amount\n"
ROWS = "1,10,100,2025-01-02,5.50\n2,20,200,2025-01-03,7.25\n"
LOADED = [("1", "10", "100", "2025-01-02", "5.50"), ("2", "20", "200", "2025-01-03", "7.25")]
NAMED = "expected the columns payment_id, customer_id, order_id, payment_date, amount; found "


@pytest.fixture(scope="module")
def shared_warehouse(cluster: server.Server, template: str) -> Iterator[str]:
    with warehouse_of(cluster, template, "ltv_copy") as url:
        yield url


@pytest.fixture
def open_run(shared_warehouse: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a warehouse in which the run "night" is open and nothing has been loaded."""
    execute(
        shared_warehouse,
        "DROP SCHEMA raw CASCADE; CREATE SCHEMA raw; TRUNCATE audit.runs RESTART IDENTITY CASCADE;"
        + (SQL / "definitions" / "sources.sql").read_text(),
    )
    begin(shared_warehouse, "2026-01-31", "night")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", shared_warehouse)
    return shared_warehouse


def missing_file(folder: Path, run_id: str) -> str:
    """What is said of a file that is not there, and is not waited for."""
    from copy_csv import MissingFileError

    with pytest.raises(MissingFileError) as failed:
        load(folder, run_id=run_id)
    return str(failed.value).replace("file://", "")


def load(folder: Path | str, source: str = "payment_data", run_id: str = "night") -> None:
    from copy_csv import CopyCsvOperator

    CopyCsvOperator(task_id=f"raw.{source}", source=source, folder=str(folder)).execute({"run_id": run_id})


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def loaded(url: str, *, with_lines: bool = False) -> list[tuple]:
    columns = ", ".join((["line_no"] if with_lines else []) + COLUMNS["payment_data"])
    return fetch(url, f"SELECT {columns} FROM raw.payment_data ORDER BY line_no")


def refusal(url: str, folder: Path | str, run_id: str = "night", source: str = "payment_data") -> str:
    """Load what must be refused; return the message, after a look at whether it changed anything."""
    from copy_csv import BadFileError

    files = [path for path in sorted(Path(folder).glob("*")) if path.is_file()]
    before = rows_of(url, "raw", "audit"), [path.read_bytes() for path in files]
    with pytest.raises((BadFileError, psycopg.Error)) as refused:
        load(folder, source, run_id)
    assert (rows_of(url, "raw", "audit"), [path.read_bytes() for path in files]) == before
    return str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROWS,
        "amount,payment_date,order_id,customer_id,payment_id\n5.50,2025-01-02,100,10,1\n7.25,2025-01-03,200,20,2\n",
        "\ufeff" + HEADER + ROWS,
        "PAYMENT_ID,Customer_Id, order_id ,\tpayment_date,amount  \n" + ROWS,
        '"payment_id","customer_id","order_id","payment_date","amount"\n' + ROWS,
        '\ufeff"Payment_ID","customer_id","order_id"," payment_date","amount "\n' + ROWS,
        (HEADER + ROWS).replace("\n", "\r\n"),
        (HEADER + ROWS).removesuffix("\n"),
        HEADER + ROWS.replace("1,10", '"1","10"'),
    ],
    ids=["plain", "order", "bom", "case-blanks", "quoted", "bom-quoted", "crlf", "no-last-newline", "quoted-fields"],
)
def test_a_header_in_any_form_maps_the_columns(content: str, open_run: str, tmp_path: Path) -> None:
    source = write(tmp_path / "payment_data.csv", content)
    before = source.read_bytes(), source.stat().st_mtime_ns
    load(tmp_path)
    assert loaded(open_run) == LOADED
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before


def test_fields_arrive_as_they_were_sent(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + '  1 ,"a ""b"", c",,"",\\N\n\\.,é,😀,\\t,%s{}\n')
    load(tmp_path)
    assert loaded(open_run) == [("  1 ", 'a "b", c', None, "", "\\N"), ("\\.", "é", "😀", "\\t", "%s{}")]


def test_a_quoted_newline_stays_in_its_record(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + '1,10,100,"2025\n-01-\r\n02",5.50\n2,20,200,2025-01-03,7.25\n')
    load(tmp_path)
    assert [row[3] for row in loaded(open_run)] == ["2025\n-01-\r\n02", "2025-01-03"]
    assert fetch(open_run, "SELECT records, loaded FROM audit.loads") == [(2, 2)]


def test_a_load_is_noted(open_run: str, tmp_path: Path) -> None:
    stored = write(tmp_path / "payment_data.csv", HEADER + ROWS).read_bytes()
    load(tmp_path)
    assert fetch(
        open_run,
        "SELECT run_no, source, file, bytes, sha256, first_line_no, records, loaded, extra_columns FROM audit.loads",
    ) == [
        (1, "payment_data", "payment_data.csv", len(stored), hashlib.sha256(stored).hexdigest(), 2, 2, 2, []),
    ]
    assert fetch(open_run, "SELECT task, rows_written FROM audit.steps") == [("raw.payment_data", 2)]
    assert fetch(open_run, "SELECT seconds >= 0 AND seconds < 60 FROM audit.loads") == [(True,)]


def test_a_second_try_takes_the_place_of_the_first(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    load(tmp_path)
    write(tmp_path / "payment_data.csv", HEADER + ROWS + "3,30,300,2025-01-04,1\n")
    load(tmp_path)
    assert fetch(open_run, "SELECT records FROM audit.loads") == [(3,)]
    assert [row[:2] for row in loaded(open_run, with_lines=True)] == [(2, "1"), (3, "2"), (4, "3")]


def test_a_gzipped_file(open_run: str, tmp_path: Path) -> None:
    stored = write(tmp_path / "payment_data.csv.gz", HEADER + ROWS).read_bytes()
    load(tmp_path)
    assert loaded(open_run) == LOADED
    assert fetch(open_run, "SELECT file, bytes, sha256 FROM audit.loads") == [
        ("payment_data.csv.gz", len(stored), hashlib.sha256(stored).hexdigest())
    ]


def test_a_gzipped_file_of_several_members(open_run: str, tmp_path: Path) -> None:
    path = tmp_path / "payment_data.csv.gz"
    path.write_bytes(gzip.compress(HEADER.encode()) + gzip.compress(ROWS.encode()))
    load(tmp_path)
    assert loaded(open_run) == LOADED
    assert fetch(open_run, "SELECT bytes FROM audit.loads") == [(path.stat().st_size,)]


def test_parts_are_loaded_by_name_each_with_lines_of_its_own(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data_2.csv.gz", "amount,payment_date,order_id,customer_id,payment_id,note\n5,d,o,c,3,n\n")
    write(tmp_path / "payment_data_1.csv", HEADER + ROWS)
    write(tmp_path / "payment_data_3.csv", HEADER + "4,40,400,2025-01-05,1\n")
    write(tmp_path / "other_payment_data.csv", "no,part,of,it\n")
    write(tmp_path / "payment_data_1.csv.part", "no,part,of,it\n")
    load(tmp_path)
    assert [row[:2] for row in loaded(open_run, with_lines=True)] == [(2, "1"), (3, "2"), (4, "3"), (5, "4")]
    assert fetch(
        open_run, "SELECT file, first_line_no, records, extra_columns FROM audit.loads ORDER BY first_line_no"
    ) == [
        ("payment_data_1.csv", 2, 2, []),
        ("payment_data_2.csv.gz", 4, 1, ["note"]),
        ("payment_data_3.csv", 5, 1, []),
    ]
    assert fetch(open_run, "SELECT note FROM raw.payment_data ORDER BY line_no") == [(None,), (None,), ("n",), (None,)]


def test_an_extra_column_lands_in_raw_and_is_noted(
    open_run: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "payment_data.csv", "Channel,payment_id,customer_id,order_id,payment_date,amount\nweb,1,1,1,d,5\n")
    load(tmp_path)
    assert fetch(open_run, "SELECT channel, amount FROM raw.payment_data") == [("web", "5")]
    assert fetch(open_run, "SELECT extra_columns FROM audit.loads") == [(["channel"],)]
    assert fetch(
        open_run,
        """SELECT DISTINCT data_type FROM information_schema.columns
        WHERE table_schema = 'raw' AND table_name = 'payment_data' AND column_name <> 'line_no'""",
    ) == [("text",)]
    log = "".join(capfd.readouterr())
    assert "payment_data.csv: columns that nobody declared go no further: channel" in log
    assert "warning" in log


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "payment_id,customer_id,payment_date",
            "payment_id, customer_id, payment_date: order_id, amount missing",
        ),
        (
            "payment_id,customer_id,order_id,payment_date,amount,Amount ",
            "payment_id, customer_id, order_id, payment_date, amount, amount: amount named more than once",
        ),
        (
            "payment_id,customer_id,order_id,payment_date,amount,note,note",
            "payment_id, customer_id, order_id, payment_date, amount, note, note: note named more than once",
        ),
        (
            "payment_id,customer_id,order_id,payment_date,,amount",
            "payment_id, customer_id, order_id, payment_date, , amount: a column's name must have 1 to 63 bytes",
        ),
        (
            "payment_id,customer_id,order_id,payment_date,amount," + "é" * 32,
            "payment_id, customer_id, order_id, payment_date, amount, "
            + "é" * 32
            + ": a column's name must have 1 to 63 bytes",
        ),
        (
            "payment_id,customer_id,order_id,payment_date,amount,a\x1bb",
            "payment_id, customer_id, order_id, payment_date, amount, a\x1bb: a column's name must have 1 to 63 bytes",
        ),
        ("payment_id;customer_id;order_id;payment_date;amount", "none of them: is the header missing, or is there"),
        ("1,10,100,2025-01-02,5.50", "none of them: is the header missing, or is there another delimiter?"),
    ],
    ids=["missing", "twice", "extra-twice", "unnamed", "too-long", "unprintable", "other-delimiter", "no-header"],
)
def test_a_header_that_does_not_do_is_refused(header: str, message: str, open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", header + "\n" + ROWS)
    assert refusal(open_run, tmp_path).startswith(f"payment_data.csv: {NAMED}{message}")


def test_a_header_of_too_many_columns_is_refused(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER.strip() + "".join(f",c{n}" for n in range(50_000)) + "\n")
    assert refusal(open_run, tmp_path) == "payment_data.csv: 50005 columns are more than the 1000 that are taken"


@pytest.mark.parametrize("ends", [("\r", "\n"), ("\r", "\r\n"), ("\r", "\r")])
def test_a_header_that_ends_in_a_lone_cr_swallows_no_record(
    ends: tuple[str, str], open_run: str, tmp_path: Path
) -> None:
    with (tmp_path / "payment_data.csv").open("w", newline="") as file:
        file.write(HEADER.strip() + ends[0] + ROWS.replace("\n", ends[1]))
    said = refusal(open_run, tmp_path)
    assert said == "payment_data.csv: the header ends in a lone CR; lines end in LF or CRLF"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_unopened(make: Callable[[Path], None], tmp_path: Path) -> None:
    from copy_csv import BadFileError, find_files

    make(tmp_path / "payment_data.csv")
    with pytest.raises(BadFileError, match=r"payment_data\.csv in .* is no regular file"):
        find_files(str(tmp_path), "payment_data")


def test_a_copy_left_beside_the_file_is_no_part_of_it(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    write(tmp_path / "payment_data.csv.old.csv", HEADER + ROWS)
    load(tmp_path)
    assert fetch(open_run, "SELECT file FROM audit.loads") == [("payment_data.csv",)]


def test_an_open_quote_in_the_header_repeats_nobody(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER.replace(",amount", ',"amount') + PERSON + ',d,"1"\n')
    assert refusal(open_run, tmp_path) == "payment_data.csv: a quote in the header is not closed"
    write(tmp_path / "payment_data.csv", HEADER.replace("amount", 'amount,x"y') + PERSON + ',d,"1\n')
    assert refusal(open_run, tmp_path) == "payment_data.csv: a quote in the header is not closed"


def test_part_10_comes_after_part_2(open_run: str, tmp_path: Path) -> None:
    for part in ("10", "2", "1", "2026-01-31", "part_00"):
        write(tmp_path / f"payment_data_{part}.csv", HEADER + GOOD)
    load(tmp_path)
    files = [file for (file,) in fetch(open_run, "SELECT file FROM audit.loads ORDER BY first_line_no")]
    assert files == [f"payment_data_{part}.csv" for part in ("1", "2", "10", "2026-01-31", "part_00")]


def test_a_row_that_no_page_holds_is_said_with_its_file(open_run: str, tmp_path: Path) -> None:
    names = [f"a_rather_long_name_{number}" for number in range(990)]
    write(
        tmp_path / "payment_data.csv", ",".join([HEADER.strip(), *names]) + "\n1,1,1,d,5" + ",0123456789" * 990 + "\n"
    )
    assert refusal(open_run, tmp_path).startswith("payment_data.csv: row is too big")


def test_parts_may_share_an_extra_column(open_run: str, tmp_path: Path) -> None:
    for part in (1, 2):
        write(tmp_path / f"payment_data_{part}.csv", HEADER.strip() + ",note\n1,1,1,d,5,kept\n")
    load(tmp_path)
    assert fetch(open_run, "SELECT note, count(*) FROM raw.payment_data GROUP BY note") == [("kept", 2)]
    assert fetch(open_run, "SELECT count(*) FROM audit.loads WHERE seconds > 0") == [(2,)]


def test_a_column_name_of_63_bytes_is_taken(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER.strip() + "," + "é" * 31 + "x\n1,1,1,d,5,kept\n")
    load(tmp_path)
    assert fetch(open_run, f'SELECT "{"é" * 31}x" FROM raw.payment_data') == [("kept",)]


NO_PART = " in {folder} is neither payment_data.csv nor a numbered part of it (payment_data_1.csv): take it away"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "payment_data.csv is missing in {folder}"),
        ({"payment_data.txt": HEADER + ROWS}, "payment_data.csv is missing in {folder}"),
        ({"payment_data.csv": ""}, "payment_data.csv is empty"),
        ({"payment_data.csv.gz": ""}, "payment_data.csv.gz is empty"),
        ({"payment_data.csv": HEADER}, "payment_data.csv has a header and no records"),
        ({"payment_data.csv": HEADER.strip()}, "payment_data.csv has a header and no records"),
        (
            {"payment_data_1.csv": HEADER + ROWS, "payment_data_2.csv": HEADER},
            "payment_data_2.csv has a header and no records",
        ),
        (
            {"payment_data.csv": HEADER + ROWS, "payment_data.csv.gz": HEADER + ROWS},
            "payment_data.csv is there twice in {folder}: plain and as payment_data.csv.gz",
        ),
        (
            {"payment_data.csv": HEADER + ROWS, "payment_data_2.csv": HEADER + ROWS},
            "payment_data.csv is there twice in {folder}: whole, and in parts like payment_data_2.csv",
        ),
        (
            {"payment_data.csv": HEADER + ROWS, "payment_data_old.csv": HEADER + ROWS},
            f"'payment_data_old.csv'{NO_PART}",
        ),
        *(
            ({"payment_data_1.csv": HEADER + ROWS, name: HEADER}, f"'{name}'{NO_PART}")
            for name in [
                *("payment_data_1 (copy).csv.gz", "payment_data (2).csv", "payment_data2.csv", "payment_data_2.CSV"),
                *("Payment_data_2.csv", "payment_data_2.csv.zip"),
            ]
        ),
        (
            {"payment_data.csv": HEADER.strip() + "\\n1,Marie,marie@secret.rw,d,1\n" + ROWS},
            "payment_data.csv: the header holds values and not only names: is a line break missing?",
        ),
        (
            {"payment_data.csv": HEADER.strip() + ",notes2,Jean,100,2025-01-01,5\n" + ROWS},
            "payment_data.csv: the header holds values and not only names: is a line break missing?",
        ),
        ({"payment_data.csv": (HEADER + ROWS).encode("utf-16")}, "payment_data.csv: the header is no UTF8 text"),
        ({"payment_data.csv": "\0" + HEADER + ROWS}, "payment_data.csv: the header is no UTF8 text: a NUL byte"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value) or "none",
)
def test_a_delivery_without_data_is_refused(
    files: dict[str, str | bytes], message: str, open_run: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    assert refusal(open_run, tmp_path).replace("file://", "") == message.format(folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_a_missing_folder_is_refused_and_not_made(open_run: str, tmp_path: Path) -> None:
    said = refusal(open_run, tmp_path / "nowhere")
    assert (
        said.replace("file://", "")
        == f"{tmp_path}/nowhere is no folder: look at DATA, or at the Airflow Variable ltv_source"
    )
    assert not (tmp_path / "nowhere").exists()


# A file that is late. The hour is so many seconds from now.


def begin_due(url: str, run_id: str, seconds: int) -> datetime:
    """Begin the run of a night whose hour comes so many seconds from now; return the hour."""
    begin(url, "2026-01-31", run_id)
    midnight = "'2026-02-01'::timestamp AT TIME ZONE 'Africa/Kigali'"
    (hour,), *_ = fetch(
        url,
        f"""UPDATE audit.sources SET wait_until = now() - {midnight} + make_interval(secs => %s)
        RETURNING {midnight} + wait_until""",
        [seconds],
    )
    return hour


def now(url: str) -> datetime:
    return fetch(url, "SELECT clock_timestamp()")[0][0]


def next_look(folder: Path) -> datetime:
    """When the operator wants to be called again."""
    from airflow.sdk.exceptions import AirflowRescheduleException

    with pytest.raises(AirflowRescheduleException) as waiting:
        load(folder, run_id="scheduled__night")
    return waiting.value.reschedule_date


@pytest.mark.parametrize("seconds", [3600, 59], ids=["in a minute", "at the hour"])
@pytest.mark.parametrize("folder", [".", "2026-01-31"], ids=["file", "folder"])
def test_a_late_file_is_waited_for_without_holding_anything(
    folder: str, seconds: int, open_run: str, tmp_path: Path
) -> None:
    hour, minute = begin_due(open_run, "scheduled__night", seconds), timedelta(minutes=1)
    before = now(open_run)
    looks_again = next_look(tmp_path / folder)
    assert min(before + minute, hour) <= looks_again <= min(now(open_run) + minute, hour)
    assert fetch(open_run, "SELECT state, reason FROM audit.runs WHERE dag_run_id = 'scheduled__night'") == [
        ("open", None)
    ]
    held = """SELECT query FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
    # The server notices a moment later that somebody has gone.
    wait_for("the end of its session", lambda: fetch(open_run, held) == [])
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    load(tmp_path, run_id="scheduled__night")
    assert loaded(open_run) == LOADED


@pytest.mark.parametrize("folder", [".", "2026-01-31"], ids=["file", "folder"])
def test_a_file_that_has_not_come_by_its_hour_fails(folder: str, open_run: str, tmp_path: Path) -> None:
    hour = begin_due(open_run, "scheduled__night", -1).astimezone(ZoneInfo("Africa/Kigali"))
    missing = {
        ".": f"payment_data.csv is missing in {tmp_path}",
        "2026-01-31": f"{tmp_path}/2026-01-31 is no folder: look at DATA, or at the Airflow Variable ltv_source",
    }
    assert missing_file(tmp_path / folder, "scheduled__night") == (
        f"{missing[folder]}; payment_data.csv was waited for until {hour:%Y-%m-%d %H:%M} (Africa/Kigali)"
    )


@pytest.mark.parametrize("run_id", ["manual__2026-02-01", "backfill__2026-02-01", "night again", "scheduled_"])
def test_a_run_that_the_schedule_has_not_made_waits_for_nothing(run_id: str, open_run: str, tmp_path: Path) -> None:
    begin_due(open_run, run_id, 3600)
    assert missing_file(tmp_path, run_id) == f"payment_data.csv is missing in {tmp_path}"


def test_what_is_wrong_with_a_file_that_is_there_does_not_pass_by_waiting(open_run: str, tmp_path: Path) -> None:
    begin_due(open_run, "scheduled__night", 3600)
    write(tmp_path / "payment_data.csv", "")
    with pytest.raises(Exception, match=r"^payment_data.csv is empty$"):
        load(tmp_path, run_id="scheduled__night")


def test_the_hour_is_half_past_five_unless_declared_otherwise(open_run: str) -> None:
    begin(open_run, "2026-01-31", "scheduled__night")
    execute(open_run, "UPDATE audit.sources SET wait_until = '1 day 02:00' WHERE source = 'order_data'")
    assert fetch(
        open_run, "SELECT source, until, next_look FROM audit.sources CROSS JOIN audit.wait_for(source) ORDER BY source"
    ) == [
        ("customer_data", "2026-02-01 05:30 (Africa/Kigali)", None),
        ("order_data", "2026-02-02 02:00 (Africa/Kigali)", None),
        ("payment_data", "2026-02-01 05:30 (Africa/Kigali)", None),
    ]


@pytest.mark.usefixtures("open_run")
def test_a_store_that_nothing_here_reads_is_said() -> None:
    from copy_csv import BadFileError

    with pytest.raises(BadFileError) as refused:
        load("nosuch://store/deliveries")
    said = "nosuch://store/deliveries: no provider of Airflow for nosuch:// is installed (README, In the cloud)"
    assert str(refused.value) == said


GOOD = "7,70,700,2025-01-07,7.00\n"
PERSON = "8,80,alice@example.com"
SPREAD = '1,10,100,"2025\n-01\n-02",5.50\n'


def broken(url: str) -> list[tuple]:
    return fetch(url, "SELECT line_no, line, rule FROM audit.rejected_rows ORDER BY line_no, line")


@pytest.mark.parametrize(
    ("body", "good", "flawed"),
    [
        (GOOD + PERSON + "\n" + GOOD, [2, 4], [(3, PERSON, "line too_few_fields")]),
        (GOOD + PERSON + ",d,1.00,more\n", [2], [(3, PERSON + ",d,1.00,more", "line too_many_fields")]),
        (GOOD + PERSON + ',d,"1.00', [2], [(3, PERSON + ',d,"1.00', "line open_quote")]),
        (GOOD + PERSON + ',d,"1.00\n' + GOOD * 3, [2, 4, 5, 6], [(3, PERSON + ',d,"1.00', "line open_quote")]),
        (GOOD + '1,"1\n2,"2\n' + GOOD, [2, 5], [(3, '1,"1', "line open_quote"), (4, '2,"2', "line open_quote")]),
        (GOOD.encode() + b"8,80,a,\\d,\xff1.00\n", [2], [(3, "8,80,a,\\\\d,\\xff1.00", "line not_text")]),
        (GOOD.encode() + b"8,80,\xc3\xa9,d,1\x00.00\n", [2], [(3, "8,80,é,d,1\\x00.00", "line not_text")]),
        (
            GOOD.encode() + b'8,80,"\n\xc3\x28",d,1\n' + GOOD.encode(),
            [2, 5],
            [(3, '8,80,"\n\\xc3(",d,1', "line not_text")],
        ),
        (GOOD + "\n" + GOOD + "\n\n", [2, 4], [(6, "", "line blank")]),
        (GOOD + "\\.\n" + GOOD, [2, 4], [(3, "\\.", "line too_few_fields")]),
        (GOOD + SPREAD + PERSON + "\n" + GOOD, [2, 3, 7], [(6, PERSON, "line too_few_fields")]),
        ((GOOD + PERSON + "\n" + GOOD).replace("\n", "\r\n"), [2, 4], [(3, PERSON, "line too_few_fields")]),
        (GOOD + GOOD.replace("\n", "\r\n") + GOOD.replace("\n", "\r") + GOOD, [2, 3, 4, 5], []),
        (
            GOOD + GOOD.replace("\n", ",\n") + GOOD.replace("\n", ",x\n"),
            [2, 3],
            [(4, GOOD[:-1] + ",x", "line too_many_fields")],
        ),
        (
            GOOD + "x" * (MOST_BYTES + 6) + "\n" + GOOD,
            [2, 4],
            [(3, "x" * KEPT_BYTES, "line too_long")],
        ),
    ],
    ids=[
        "too-few",
        "too-many",
        "open-quote-at-the-end",
        "open-quote",
        "two-open-quotes",
        "bad-utf-8",
        "nul",
        "bad-utf-8-in-a-spread-record",
        "blank-lines",
        "end-of-data-marker",
        "after-quoted-newlines",
        "crlf",
        "mixed-ends",
        "trailing-delimiter",
        "endless-line",
    ],
)
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_broken_line_is_set_aside_and_no_other(
    body: str | bytes,
    good: list[int],
    flawed: list[tuple],
    ending: str,
    open_run: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sent = body if isinstance(body, bytes) else body.encode()
    stored = write(tmp_path / f"payment_data.{ending}", HEADER.encode() + sent).read_bytes()
    load(tmp_path)
    assert [row[0] for row in loaded(open_run, with_lines=True)] == good
    assert broken(open_run) == sorted(flawed)
    assert fetch(open_run, "SELECT bytes, sha256 FROM audit.loads") == [
        (len(stored), hashlib.sha256(stored).hexdigest())
    ]
    assert fetch(open_run, "SELECT loaded FROM audit.loads") == [(len(loaded(open_run)),)]
    assert "alice" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_row_at_the_bound_of_what_is_read_at_once_stays_whole(
    end: str, open_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import csv_records

    monkeypatch.setattr(csv_records, "MOST_BYTES", 80)
    monkeypatch.setattr(csv_records, "PIECE_BYTES", 64)
    rows = [f"{number},1,1,2025-01-02,1234.50" for number in range(1, 100)]
    # An overlong line whose end looks like a payment.
    write(tmp_path / "payment_data.csv", HEADER + end.join([*rows, "broken", "x" * 80 + "777,1,1,2025-01-02,99999.00"]))
    load(tmp_path)
    assert loaded(open_run) == [(str(number), "1", "1", "2025-01-02", "1234.50") for number in range(1, 100)]
    assert [rule for _, _, rule in broken(open_run)] == ["line too_few_fields", "line too_long"]
    assert fetch(open_run, "SELECT records, loaded FROM audit.loads") == [(101, 99)]


@pytest.mark.parametrize(
    ("body", "good", "flawed"),
    [
        (GOOD + "8,80,800,{},8\n" + GOOD, [2, 4], [3]),
        (GOOD + "8,80,800,d,8,{}\n" + GOOD, [2, 4], [3]),
        # Two stray quotes, far apart.
        (GOOD + '8,80,800,d"x,8\n' + GOOD + '{}\n9,90,900,d"x,9\n' + GOOD, [2, 4, 7], [3, 5, 6]),
    ],
    ids=["declared", "undeclared", "swallowed"],
)
def test_a_field_that_no_jsonb_holds_costs_its_line_also_where_copy_takes_it(
    body: str, good: list[int], flawed: list[int], open_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy_csv
    import csv_records

    for module in (copy_csv, csv_records):
        monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    header = HEADER.replace("\n", ",note\n") if "d,8,{}" in body else HEADER
    rows = body.replace("7.00\n", "7.00,\n") if header is not HEADER else body
    write(tmp_path / "payment_data.csv", header + rows.format("x" * (1 << 20)))
    load(tmp_path)
    assert [row[0] for row in loaded(open_run, with_lines=True)] == good
    assert [number for number, _, _ in broken(open_run)] == flawed
    assert sum("too_long" in rule for _, _, rule in broken(open_run)) == 1


def test_long_fields_that_can_be_worked_with_are_taken_whole(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + GOOD + f"8,80,800,{'x' * (MOST_BYTES - 1)},8\n")
    load(tmp_path)
    assert fetch(open_run, "SELECT max(length(payment_date)) FROM raw.payment_data") == [(MOST_BYTES - 1,)]
    assert broken(open_run) == []


def test_a_blank_line_counts_each_time_and_is_kept_once(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + GOOD + "\n\n" + GOOD)
    load(tmp_path)
    assert broken(open_run) == [(4, "", "line blank")]
    assert fetch(open_run, "SELECT records, loaded FROM audit.loads") == [(4, 2)]


def test_more_broken_lines_than_are_held_in_memory(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + "".join(f"{n},x\n{GOOD}" for n in range(1_203)))
    load(tmp_path)
    assert len({line for _, line, _ in broken(open_run)}) == 1_203
    assert fetch(open_run, "SELECT records, loaded FROM audit.loads") == [(2_406, 1_203)]
    assert [row[0] for row in loaded(open_run, with_lines=True)] == list(range(3, 2_409, 2))


def test_parts_around_a_broken_one_keep_their_lines_apart(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data_1.csv", HEADER + GOOD * 2)
    write(tmp_path / "payment_data_2.csv", HEADER + GOOD + "x\n" + GOOD)
    write(tmp_path / "payment_data_3.csv", HEADER + GOOD)
    load(tmp_path)
    assert [row[0] for row in loaded(open_run, with_lines=True)] == [2, 3, 4, 6, 7]
    assert broken(open_run) == [(3, "x", "line too_few_fields")]
    assert fetch(open_run, "SELECT first_line_no, records, loaded FROM audit.loads ORDER BY file") == [
        (2, 2, 2),
        (4, 3, 2),
        (7, 1, 1),
    ]


def test_a_declared_encoding_is_taken_and_an_undeclared_one_rejected(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", (HEADER + GOOD + "8,80,800,caf\u00e9,8.00\n").encode("latin-1"))
    load(tmp_path)
    assert broken(open_run) == [(3, "8,80,800,caf\\xe9,8.00", "line not_text")]
    execute(open_run, "TRUNCATE audit.rejected_rows; UPDATE audit.sources SET encoding = 'LATIN1'")
    load(tmp_path)
    assert broken(open_run) == []
    assert [row[3] for row in loaded(open_run)] == ["2025-01-07", "caf\u00e9"]


@pytest.mark.parametrize("encoding", ["SJIS", "shift_jis", "WIN932", "JOHAB", "BIG5", "GB18030", "EUC_JP"])
def test_a_file_that_cannot_be_split_line_by_line_is_refused_whole(
    encoding: str, open_run: str, tmp_path: Path
) -> None:
    """There Python and the server do not agree on what a text is: a good line would be set aside as a broken one."""
    execute(open_run, "UPDATE audit.sources SET encoding = %s", [encoding])
    write(tmp_path / "payment_data.csv", (HEADER + GOOD).encode())
    load(tmp_path)
    assert len(loaded(open_run)) == 1
    write(tmp_path / "payment_data.csv", (HEADER + GOOD + "broken\n").encode())
    assert refusal(open_run, tmp_path) == (
        'payment_data.csv: missing data for column "customer_id". '
        f"In {encoding} its broken lines cannot be told from the good ones, so none is taken: "
        "have it delivered in UTF-8"
    )


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "%"])
def test_a_declared_delimiter_is_taken(delimiter: str, open_run: str, tmp_path: Path) -> None:
    execute(open_run, "UPDATE audit.sources SET delimiter = %s", [delimiter])
    write(tmp_path / "payment_data.csv", (HEADER + GOOD).replace(",", delimiter) + f"8{delimiter}80\n")
    load(tmp_path)
    assert [row[0] for row in loaded(open_run)] == ["7"]
    assert broken(open_run) == [(3, f"8{delimiter}80", "line too_few_fields")]


def test_an_encoding_that_python_does_not_know_is_said(open_run: str, tmp_path: Path) -> None:
    execute(open_run, "UPDATE audit.sources SET encoding = 'EUC_TW'")
    write(tmp_path / "payment_data.csv", HEADER + GOOD)
    assert refusal(open_run, tmp_path) == "payment_data.csv: its encoding EUC_TW is not known here"


@pytest.mark.parametrize("change", ["longer", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_not_taken(
    change: str, open_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy_csv

    path = write(tmp_path / "payment_data.csv", HEADER + GOOD)
    copied = copy_csv.Delivery.copy

    def copy_meanwhile(*arguments: object) -> int | None:
        records = copied(*arguments)
        if change == "longer":
            with path.open("a") as file:
                file.write(GOOD)
        else:
            write(tmp_path / "new", HEADER + GOOD).rename(path)
        return records

    monkeypatch.setattr(copy_csv.Delivery, "copy", copy_meanwhile)
    before = rows_of(open_run, "raw", "audit")
    with pytest.raises(copy_csv.FileChangedError, match=r"payment_data\.csv changed while it was read"):
        load(tmp_path)
    assert rows_of(open_run, "raw", "audit") == before


@pytest.mark.parametrize("stored", [b"this is no gzip", gzip.compress((HEADER + GOOD * 9999).encode())[:-99]])
def test_a_damaged_gzip_file_is_named(stored: bytes, open_run: str, tmp_path: Path) -> None:
    (tmp_path / "payment_data.csv.gz").write_bytes(stored)
    assert refusal(open_run, tmp_path).startswith("payment_data.csv.gz")


def test_a_part_that_cannot_be_read_undoes_the_parts_before_it(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    load(tmp_path)
    (tmp_path / "payment_data.csv").unlink()
    write(tmp_path / "payment_data_1.csv", HEADER + GOOD)
    write(tmp_path / "payment_data_2.csv", HEADER)
    assert refusal(open_run, tmp_path) == "payment_data_2.csv has a header and no records"
    assert loaded(open_run) == LOADED


def test_a_delimiter_at_the_end_of_every_line_is_no_column(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", (HEADER + ROWS).replace("\n", ",\n"))
    load(tmp_path)
    assert loaded(open_run) == LOADED


HOSTILE = [
    '"; DROP TABLE core.customers; --',
    "a\"b''c",
    "наименование 😀",
    "%s %(x)s {} {0}",
    "select",
    "a' OR 1=1",
    "x) FROM PROGRAM 'touch /tmp/owned' --",
    "\\",
]


def test_hostile_column_names_do_no_harm(open_run: str, tmp_path: Path) -> None:
    names = ",".join('"' + name.replace('"', '""') + '"' for name in HOSTILE)
    write(tmp_path / "payment_data.csv", HEADER.strip() + "," + names + "\n1,1,1,d,5,a,b,c,d,e,f,g,h\n")
    load(tmp_path)
    wanted = [name.lower() for name in HOSTILE]
    assert fetch(open_run, "SELECT extra_columns FROM audit.loads") == [(wanted,)]
    assert fetch(
        open_run,
        """SELECT array_agg(attname::text ORDER BY attnum) FROM pg_catalog.pg_attribute
        WHERE attrelid = 'raw.payment_data'::regclass AND attnum > 6""",
    ) == [(wanted,)]
    (row,) = fetch(open_run, "SELECT * FROM raw.payment_data")
    assert row == (2, "1", "1", "1", "d", "5", *"abcdefgh")
    assert fetch(open_run, "SELECT count(*) FROM core.customers") == [(0,)]


@pytest.mark.parametrize("column", ["line_no", "ctid", "xmin", "tableoid"])
def test_a_column_name_that_the_server_keeps_for_itself(column: str, open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", f"{HEADER.strip()},{column}\n1,1,1,d,5,mine\n")
    said = refusal(open_run, tmp_path)
    assert said.startswith(f"payment_data.csv: {NAMED}")
    assert said.endswith(f", amount, {column}: {column} is a name that raw keeps for itself")


def test_the_folder_may_name_the_day(open_run: str, tmp_path: Path) -> None:
    (tmp_path / "2026-01-31").mkdir()
    write(tmp_path / "2026-01-31" / "payment_data.csv", HEADER + ROWS)
    load(tmp_path / "{as_of}")
    assert loaded(open_run) == LOADED


def test_the_folder_may_be_a_url(open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    load(f"file://{tmp_path}")
    assert loaded(open_run) == LOADED


@pytest.mark.parametrize(
    ("change", "run_id"),
    [
        ("UPDATE audit.runs SET state = 'published'", "night"),
        ("SELECT audit.fail_run('night', 'raw.payment_data', 'it rained')", "night"),
        (
            "SELECT audit.begin_run('next', '2026-01-31', now(), (SELECT fingerprint FROM audit.deployments), '')",
            "night",
        ),
        ("SELECT 1", "another"),
    ],
    ids=["published", "failed", "abandoned", "never-begun"],
)
def test_a_run_that_is_not_open_is_refused(change: str, run_id: str, open_run: str, tmp_path: Path) -> None:
    write(tmp_path / "payment_data.csv", HEADER + ROWS)
    execute(open_run, change)
    assert refusal(open_run, tmp_path, run_id) == (
        f"run {run_id} is not open. Clear the run from its first task (begin), or start a new one."
    )


def test_a_delimiter_and_an_encoding_of_the_sources_own(open_run: str, tmp_path: Path) -> None:
    execute(open_run, "UPDATE audit.sources SET encoding = 'WIN1252', delimiter = ';' WHERE source = 'payment_data'")
    content = "payment_id;customer_id;order_id;payment_date;amount;größe\n1;Zoë;100;2025-01-02;5,50;€\n"
    write(tmp_path / "payment_data.csv", content.encode("cp1252"))
    load(tmp_path)
    assert loaded(open_run) == [("1", "Zoë", "100", "2025-01-02", "5,50")]
    assert fetch(open_run, 'SELECT "größe" FROM raw.payment_data') == [("€",)]


LOAD_AND_MEASURE = """
import json, pathlib, resource, sys
from copy_csv import CopyCsvOperator
peaks = []
for folder in sys.argv[1:]:
    CopyCsvOperator(task_id="raw.payment_data", source="payment_data", folder=folder).execute({"run_id": "night"})
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_the_file(open_run: str, tmp_path: Path) -> None:
    block = b"1,10,100,2025-01-02,%0974d\n" % 5 * 1000
    names = {"small": 2, "large": 202, "zipped": 202, "broken": 202}
    for name, blocks in names.items():
        (tmp_path / name).mkdir()
        path = tmp_path / name / "payment_data.csv"
        with gzip.open(f"{path}.gz", "wb", 1) if name == "zipped" else path.open("wb") as file:
            file.write(HEADER.encode())
            for number in range(blocks):
                file.write(block)
                if name == "broken":
                    file.write(b"%d," % number + b"x" * 1_000_000 + b"\n")
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_MEASURE, *(tmp_path / name for name in names)],
        cwd=ROOT / "dags",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    small, large, zipped, aside = json.loads(done.stdout.splitlines()[-1])
    assert (tmp_path / "large" / "payment_data.csv").stat().st_size > 200e6
    assert large - small < 60, f"{small} MB for 2 MB, {large} MB for 200 MB"
    assert zipped - small < 60, f"{small} MB for 2 MB, {zipped} MB for 200 MB gzipped"
    assert aside - small < 100, f"{small} MB for 2 MB, {aside} MB for 400 MB with long broken lines"
    assert fetch(open_run, "SELECT records, loaded FROM audit.loads") == [(202 * 1001, 202 * 1000)]
    for path in tmp_path.glob("*/*"):
        path.unlink()
