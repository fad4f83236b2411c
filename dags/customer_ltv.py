"""Three CSV files in, one trusted customer_ltv out, every night.

`begin` opens the run. Then each layer in turn: a task is a file of `sql/` and fills the table that it is named
after; a name with a double underscore is a check, and what it refuses goes no further. `marts` is published in one
transaction; until then readers see yesterday's numbers.

When a task is red: its log says why in one sentence, and so does `SELECT * FROM audit.runs ORDER BY run_no DESC`.
A failed check has written what it saw to `audit.check_results`.
"""

import json
from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, Param, TaskGroup, chain_linear
from alerts import tell_of_refusal, tell_of_run
from copy_csv import CopyCsvOperator
from in_run import TASKS, CheckSqlOperator, RunSqlOperator, RunStateOperator, fail_run
from sql_files import ROOT, SQL, deployed_fingerprint, file_fingerprints, fingerprint, header

FOLDER = f"{{{{ var.value.get('ltv_source', {str(ROOT / 'data')!r}) }}}}"
PUBLISHED = {"marts.customer_ltv": [Asset("marts.customer_ltv")]}


def fill(schema: str, table: str) -> BaseOperator:
    """Return the task that fills a table: COPY for raw, the table's SQL file for every other schema."""
    if schema == "raw":
        doc = f"raw.{table}: the delivery as received, all text. `sql/definitions/sources.sql` says what it must hold."
        inlets = [Asset(f"{table}.csv")]
        return CopyCsvOperator(task_id=table, source=table, folder=FOLDER, inlets=inlets, doc_md=doc)
    file, doc = f"{schema}/{table}.sql", header(SQL / schema / f"{table}.sql")
    return RunSqlOperator(task_id=table, sql=file, doc_md=doc, outlets=PUBLISHED.get(f"{schema}.{table}", []))


def check(schema: str, claim: str) -> BaseOperator:
    """Return the task that holds a claim against the data; a false claim stays false, so it is not retried."""
    file, doc = f"{schema}/{claim}.sql", header(SQL / schema / f"{claim}.sql")
    return CheckSqlOperator(task_id=claim, sql=file, doc_md=doc, retry_on_failure=False)


def layer(schema: str, *tables: str | list[str], each: bool = False) -> TaskGroup:
    """Return a schema's tables, one after the other (a list: side by side), and then every check in its folder.

    With `each`, a table's checks wait for that table alone and run while the next one is filled.
    """
    with TaskGroup(schema) as group:
        steps = [[step] if isinstance(step, str) else step for step in tables]
        filled = {table: fill(schema, table) for step in steps for table in step}
        checks = {path.stem: check(schema, path.stem) for path in sorted((SQL / schema).glob("*__*.sql"))}
        in_turn = [[filled[table] for table in step] for step in steps]
        chain_linear(*in_turn, *([] if each else [list(checks.values())]))
        for claim in checks if each else []:
            filled[claim.partition("__")[0]] >> checks[claim]
    return group


with DAG(
    dag_id="customer_ltv",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("30 2 * * *", timezone="Africa/Kigali"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    on_failure_callback=[fail_run, tell_of_run],
    on_success_callback=tell_of_run,
    max_active_runs=1,
    template_searchpath=str(SQL),
    params={"as_of": Param(None, type=["null", "string"], format="date", description="The day to look back from")},
    default_args={**TASKS, "on_failure_callback": fail_run},
) as dag:
    raw = layer("raw", ["customer_data", "order_data", "payment_data"])
    staging = layer("staging", "customers", "orders", "payments")
    core = layer("core", "customers", "orders", "payments", "customer_activity", each=True)
    intermediate = layer("intermediate", "customer_ltv")
    marts = layer("marts", "customer_ltv")
    begin = RunStateOperator(
        task_id="begin",
        sql="""SELECT audit.begin_run(
            %(run)s, %(as_of)s, %(due)s, %(deployed)s, %(fingerprint)s, %(tasks)s, %(files)s, %(started)s
        )""",
        parameters={
            "run": "{{ run_id }}",
            "as_of": "{{ params.as_of or '' }}",
            "due": "{{ dag_run.logical_date or dag_run.run_after }}",
            "deployed": deployed_fingerprint(),
            "fingerprint": fingerprint([SQL]),
            # In their order: each asks for those before it. A task that was marked as done by hand has not been.
            "tasks": dag.task_ids,
            "files": json.dumps(file_fingerprints()),
            "started": "{{ dag_run.start_date }}",
        },
        # The attempt: every other task belongs to this begin of the run and works in no later one.
        do_xcom_push=True,
        on_failure_callback=[fail_run, tell_of_refusal],
        doc_md="Opens the run in audit.runs, or says in a sentence why it must not run.",
    )
    end = RunStateOperator(
        task_id="end",
        sql="SELECT audit.end_run(%(run)s, %(attempt)s)",
        parameters={"run": "{{ run_id }}", "attempt": begin.output},
        doc_md="Closes the run in audit.runs as published.",
    )

    begin >> raw >> staging >> core >> intermediate >> marts >> end
