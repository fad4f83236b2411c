"""A mail server and a web server on this machine, and what alerts they have received."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default as modern
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from aiosmtpd.controller import Controller
from conftest import ROOT
from support import free_port

SECRET_PATH = "services/T0/B0/a-secret-of-the-webhook"


@dataclass
class Receivers:
    """A mail server and a web server on this machine, what they have received, and Airflow's connections to them."""

    mails: list = field(default_factory=list)
    posts: list[tuple[str, dict]] = field(default_factory=list)
    connections: dict[str, str] = field(default_factory=dict)
    http_port: int = 0
    smtp_port: int = 0

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=modern)))
        return "250 OK"

    def alertmanager(self, host: str = "127.0.0.1") -> str:
        """Alertmanager's configuration, filled in as its head says, with receivers on that address and short waits."""
        known = (ROOT / "deploy" / "monitoring" / "alertmanager.yaml").read_text()
        for example, own in {
            "receiver: nobody-yet": "receiver: on-call",
            "group_by: [alertname]": "group_by: [alertname]\n  group_wait: 1s\n  group_interval: 1s",
            "https://hooks.example.com/alerts": f"http://{host}:{self.http_port}/{SECRET_PATH}",
            "smtp.example.com:587": f"{host}:{self.smtp_port}",
            "auth_username: ltv@example.com": "require_tls: false",
            "        auth_password: …\n": "",
        }.items():
            assert known.count(example) == 1, example
            known = known.replace(example, own)
        return known

    def texts(self) -> list[str]:
        """Subject and body of each mail, the same in each post; both are emptied."""
        mailed = []
        for recipients, mail in self.mails:
            assert recipients == ["on-call@example.com", "lead@example.com"]
            assert mail["From"] == "pipeline@example.com"
            html = mail.get_body(("html",)).get_content().strip()
            mailed.append(f"{mail['Subject']}\n{unescape(re.fullmatch('(?s)<pre>(.*)</pre>', html)[1])}")
        assert [path for path, _ in self.posts] == [f"/{SECRET_PATH}"] * len(self.posts)
        assert [post for _, post in self.posts] == [{"text": text} for text in mailed]
        self.forget()
        return mailed

    def forget(self) -> None:
        """Be as if nothing had been received."""
        self.mails.clear()
        self.posts.clear()

    def wait_for_alert(self, alertname: str, summary: str, status: str = "firing") -> None:
        """Wait until Alertmanager has told of an alert by webhook and by mail, and see that it says this."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            posted = [alert for _, post in list(self.posts) for alert in post["alerts"] if alert["status"] == status]
            posted = [alert for alert in posted if alert["labels"]["alertname"] == alertname]
            mailed = [mail for _, mail in list(self.mails) if status.upper() in mail["Subject"]]
            mailed = [mail for mail in mailed if alertname in mail["Subject"]]
            if posted and mailed:
                assert {path for path, _ in self.posts} == {f"/{SECRET_PATH}"}
                assert posted[0]["annotations"]["summary"] == summary
                assert summary in unescape(mailed[0].get_body(("html",)).get_content())
                return
            time.sleep(0.2)
        raise AssertionError(
            f"nobody was told of {alertname}: {self.posts} {[mail['Subject'] for _, mail in self.mails]}"
        )


def connections(smtp_port: int, http_port: int) -> dict[str, str]:
    """The environment that tells Airflow of a mail server and a web server."""
    extra = {"from_email": "pipeline@example.com", "to": "on-call@example.com, lead@example.com"}
    plain = {"disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp_port, "extra": extra | plain}
    http = {"conn_type": "http", "host": f"http://127.0.0.1:{http_port}", "password": SECRET_PATH}
    return {"AIRFLOW_CONN_ALERTS_SMTP": json.dumps(smtp), "AIRFLOW_CONN_ALERTS_WEBHOOK": json.dumps(http)}


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[Receivers]:
    """Receivers on an address of this machine, for as long as the block lasts."""
    receivers = Receivers()

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            receivers.posts.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    web = ThreadingHTTPServer((host, 0), Receive)
    Thread(target=web.serve_forever, daemon=True).start()
    # By itself it gives up after five seconds, which a busy machine may need.
    mail = Controller(receivers, hostname=host, port=free_port(), ready_timeout=300)
    mail.start()
    receivers.http_port, receivers.smtp_port = web.server_port, mail.port
    receivers.connections = connections(mail.port, web.server_port)
    try:
        yield receivers
    finally:
        mail.stop()
        web.shutdown()
        web.server_close()
