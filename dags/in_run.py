"""Run SQL inside a run of the pipeline: the fence, what is retried, and errors that quote no rows."""

import re
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from airflow.providers.common.sql.operators.sql import SQLCheckOperator, SQLExecuteQueryOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from sql_files import SQL, fingerprint, qualified

CONN_ID = "warehouse"
NO_WORD = "its process ended without a word"
FAIL = RetryAction.FAIL

# A lost connection, a lock or statement time-out, a full disk, a deadlock or a server that is not the primary (yet, or
# any more) can pass; a false claim, a SQL error or a bad file is the same at the next try.
RETRY_WHAT_CAN_PASS = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=["psycopg.errors.ProgramLimitExceeded", "psycopg.errors.TooManyColumns"], action=FAIL),
        RetryRule(exception="psycopg.OperationalError", action=RetryAction.RETRY),
        RetryRule(exception="psycopg.errors.ReadOnlySqlTransaction", action=RetryAction.RETRY),
        RetryRule(exception=["builtins.FileNotFoundError", "builtins.PermissionError"], action=FAIL),
        RetryRule(exception="builtins.OSError", action=RetryAction.RETRY),
    ],
    default=FAIL,
)


# How every task gets its connection, and how often and when it is tried again.
TASKS = {
    "conn_id": CONN_ID,
    "hook_params": {"enable_log_db_messages": True},
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_WHAT_CAN_PASS,
}


def in_plain_words(error: psycopg.Error, sql: object, task_id: str) -> psycopg.Error:
    """Return the error without the values and rows that it quotes, and with the place in the SQL file."""
    if error.diag.message_primary is None:
        return error
    message = error.diag.message_primary
    kind = str(error.sqlstate)[:2]
    if kind == "22":
        # A value that is none of its type.
        message = re.sub(r'".*"', '"…"', message, flags=re.DOTALL)
    if isinstance(sql, str) and (kind == "22" or (kind == "42" and error.diag.statement_position)):
        place = f"sql/{task_id.replace('.', '/')}.sql"
        if error.diag.statement_position:
            line = sql.count("\n", 0, int(error.diag.statement_position)) + 1
            place += f", line {line}"
        message += f" ({place})"
    if error.diag.message_hint:
        message += f". {error.diag.message_hint}"
    if isinstance(error, psycopg.errors.UndefinedFunction | psycopg.errors.UndefinedTable):
        message += ". If the warehouse is new, or behind: make migrate"
    error.args = (message,)
    return error


def attempt_of(context: Any) -> int | None:
    """Return which begin of its run a task belongs to, as the task `begin` has passed it on; None before it has."""
    ti = context.get("ti")
    return ti.xcom_pull(task_ids="begin") if ti else None


def due(context: Any) -> Any:
    """Return when the DAG run was due: by the schedule, or, where somebody has started it, then."""
    return context["dag_run"].logical_date or context["dag_run"].run_after


def fail_run(context: Any) -> None:
    """Mark the run failed in audit.runs, with its reason.

    Called when a task has failed for good, by the task's process; and when the DAG run has, by Airflow itself, for a
    process that was killed and could not say so. The first reason stays. Before this DAG run has begun there is nothing
    of it to fail: what is open under its name is another Airflow's.
    """
    error = context.get("exception")
    # The task knows its begin. Airflow comes later, maybe after the next one: the DAG run that it names says which.
    attempt = attempt_of(context) if error else None
    started = None if error or "dag_run" not in context else context["dag_run"].start_date
    if attempt is None and started is None:
        return
    known = [context["run_id"], context["ti"].task_id, str(error or NO_WORD), attempt, started]
    with PostgresHook(CONN_ID).get_conn() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT audit.fail_run(%s, %s, %s, %s, %s)", known)


class PlainErrors:
    """Raise database errors without the rows that they quote."""

    sql: Any
    task_id: str

    def execute(self, context: Any) -> Any:
        """Run the operator; raise psycopg.Error in plain words."""
        operator: Any = super()
        try:
            return operator.execute(context)
        except psycopg.Error as error:
            raise in_plain_words(error, self.sql, self.task_id) from None


class InRun(PlainErrors):
    """Enter the task's run at the start of the transaction in which its SQL runs."""

    even_if_failed = False

    def execute(self, context: Any) -> Any:
        """Run the operator inside the run of its DAG run; raise psycopg.Error where that run is not open."""
        self.entering = [
            *(context["run_id"], self.even_if_failed, attempt_of(context), self.task_id),
            # What stands in the folder now: an edit between two tasks is not for this run.
            fingerprint([SQL]),
        ]
        return super().execute(context)

    def get_db_hook(self) -> Any:
        """Return the warehouse's hook, whose connections enter the run before anything else."""
        operator: Any = super()
        hook = operator.get_db_hook()
        set_autocommit = hook.set_autocommit

        def enter_run(connection: Any, autocommit: bool) -> None:
            set_autocommit(connection, autocommit)
            connection.execute("SELECT audit.enter_run(%s, %s, %s, %s, %s)", self.entering)

        hook.set_autocommit = enter_run
        return hook


class RunStateOperator(PlainErrors, SQLExecuteQueryOperator):
    """Open or close the run, from outside it: a retry finds what the first try has done."""

    def __init__(self, *, do_xcom_push: bool = False, **kwargs: Any) -> None:
        """Take what SQLExecuteQueryOperator takes; what is passed on, if anything, is the one value of its query."""
        super().__init__(handler=lambda cursor: cursor.fetchone()[0], do_xcom_push=do_xcom_push, **kwargs)


class RunSqlOperator(InRun, SQLExecuteQueryOperator):
    """Run a SQL file inside the task's run, and note what it wrote."""

    def __init__(self, **kwargs: Any) -> None:
        """Take what SQLExecuteQueryOperator takes; no result of a query reaches Airflow's database."""
        super().__init__(handler=self.leave_run, requires_result_fetch=True, do_xcom_push=False, **kwargs)

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the tables that OpenLineage is told of: what its parser finds, and what the header reads."""
        operator: Any = super()
        told = operator.get_openlineage_facets_on_start()
        if told and told.outputs:
            written, known = told.outputs[0], {table.name for table in told.inputs}
            (line,) = re.findall(r"^-- Reads: (.*)$", str(self.sql), re.MULTILINE)
            names = [f"{written.name.partition('.')[0]}.{table}" for table in qualified(line)]
            told.inputs += [type(written)(written.namespace, name) for name in names if name not in known]
        return told

    def leave_run(self, cursor: Any) -> None:
        """Note in audit.steps how many rows the file's main statement wrote; called before the commit."""
        written = [cursor.rowcount] if cursor.description is None else []
        while cursor.nextset():
            written += [cursor.rowcount] if cursor.description is None else []
        cursor.connection.execute("SELECT audit.leave_run(%s, %s)", [self.task_id, max(written, default=0)])


def last_row(cursor: Any) -> Any:
    """Return the first row of a file's last statement, in front of which it may SET LOCAL what that one needs."""
    while cursor.nextset():
        pass
    return cursor.fetchone()


class PlainSqlOperator(PlainErrors, SQLExecuteQueryOperator):
    """Run a SQL file outside of any run."""

    def __init__(self, **kwargs: Any) -> None:
        """Take what SQLExecuteQueryOperator takes; no result of a query reaches Airflow's database."""
        super().__init__(do_xcom_push=False, **kwargs)


class LastRowCheckOperator(PlainErrors, SQLCheckOperator):
    """Hold a claim against the data outside of any run, by the last statement of a file."""

    def get_db_hook(self) -> Any:
        """Return the warehouse's hook, whose first row is the one of the file's last statement."""
        hook: Any = super().get_db_hook()
        hook.get_first = partial(hook.run, handler=last_row)
        return hook


class CheckSqlOperator(InRun, LastRowCheckOperator):
    """Hold a claim against the data inside the task's run, also when another check has failed it already."""

    even_if_failed = True
