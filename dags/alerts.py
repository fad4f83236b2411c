"""Tell whoever is on call what audit says of a run: by mail, by webhook, by both, or not at all.

Airflow's connections say how: `alerts_smtp` (its extra has `from_email` and `to`) and `alerts_webhook` (its host is
the server's URL, its password the path, which is a secret for such services). One that is not defined is passed over.
An alert that cannot be sent is a warning in the log: it neither fails a run nor hides why one has failed.
"""

import logging
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from in_run import CONN_ID, NO_WORD, due

# Seconds; Airflow gives the callbacks of a run fifty.
TIMEOUT = 10
log = logging.getLogger(__name__)


def mail(connection: Connection) -> Any:
    """Return the notifier that sends a mail; raises KeyError where the connection names nobody."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        smtp_conn_id=connection.conn_id,
        to=connection.extra_dejson["to"],
        subject="{{ alert.subject }}",
        html_content="<pre>{{ alert.body | e }}</pre>",
    )


def webhook(connection: Connection) -> Any:
    """Return the notifier that posts a JSON object with a text, as Slack and Mattermost take it."""
    from airflow.providers.http.hooks.http import HttpHook
    from airflow.providers.http.notifications.http import HttpNotifier
    from requests import RequestException
    from requests.adapters import HTTPAdapter

    class Discreet(HTTPAdapter):
        """Sends, and does not repeat the URL in an error: the hook logs it, and not every log is masked."""

        def send(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().send(*args, **kwargs)
            except RequestException as error:
                raise type(error)("the server did not answer") from None

    notifier = HttpNotifier(
        http_conn_id=connection.conn_id,
        endpoint=connection.password,
        json={"text": "{{ alert.subject }}\n{{ alert.body }}"},
        extra_options={"timeout": TIMEOUT},
    )
    notifier.hook = HttpHook("POST", connection.conn_id, adapter=Discreet())
    return notifier


WAYS = {"alerts_smtp": mail, "alerts_webhook": webhook}


def send(subject: str, body: str) -> None:
    """Log an alert and send it in every way that has a connection; raise nothing."""
    log.warning("%s\n%s", subject, body)
    for conn_id, notifier in WAYS.items():
        try:
            # What the alert says is data to the notifiers' templates, and no part of them.
            notifier(Connection.get(conn_id))({"alert": {"subject": subject, "body": body}})
        except AirflowNotFoundException:
            log.info("There is no connection %s: nothing is sent that way", conn_id)
        except Exception as error:
            log.warning("This alert was not sent by %s: %s", conn_id, type(error).__name__)


def tell(context: Any, query: str, parameters: list[Any]) -> None:
    """Send what a query finds: rows of subject and body. Where audit cannot be asked, send that, and the error."""
    try:
        with PostgresHook(CONN_ID).get_conn() as connection:
            alerts = connection.execute(query, parameters).fetchall()
    except Exception as error:
        said = context.get("exception") or context.get("reason") or NO_WORD
        where = f"DAG run {context['run_id']} of {context['dag'].dag_id}"
        alerts = [(f"{context['dag'].dag_id}: audit cannot be asked", f"{where}: {said} ({type(error).__name__})")]
    for subject, body in alerts:
        send(subject, body)


def tell_of_run(context: Any) -> None:
    """Tell what is to be told of a DAG run that has ended, well or not."""
    # What `begin` has refused it tells itself; in audit there is nothing of it, or what was told before.
    if "ti" not in context or context["ti"].task_id != "begin":
        tell(context, "SELECT subject, body FROM audit.alerts(%s)", [context["run_id"]])


def tell_of_refusal(context: Any) -> None:
    """Tell that a DAG run was not begun, and why."""
    error = str(context.get("exception") or NO_WORD)
    parameters = [context["run_id"], context["params"].get("as_of"), due(context), error]
    tell(context, "SELECT subject, body FROM audit.not_begun(%s, %s, %s, %s)", parameters)


def tell_of_lateness(context: Any) -> None:
    """Tell that the night before has not been published; when audit cannot be asked, that."""
    tell(context, "SELECT subject, body FROM audit.late(%s)", [due(context)])
