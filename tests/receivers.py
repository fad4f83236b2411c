"""A mail server and a web server on this machine, and what alerts they have received."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default as modern
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from aiosmtpd.controller import Controller
from support import free_port

SECRET_PATH = "services/T0/B0/a-secret-of-the-webhook"


@dataclass
class Receivers:
    """A mail server and a web server on this machine, what they have received, and Airflow's connections to them."""

    mails: list = field(default_factory=list)
    posts: list[tuple[str, dict]] = field(default_factory=list)
    connections: dict[str, str] = field(default_factory=dict)

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=modern)))
        return "250 OK"

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
        self.mails.clear()
        self.posts.clear()
        return mailed


def connections(smtp_port: int, http_port: int) -> dict[str, str]:
    """The environment that tells Airflow of a mail server and a web server."""
    extra = {"from_email": "pipeline@example.com", "to": "on-call@example.com, lead@example.com"}
    plain = {"disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp_port, "extra": extra | plain}
    http = {"conn_type": "http", "host": f"http://127.0.0.1:{http_port}", "password": SECRET_PATH}
    return {"AIRFLOW_CONN_ALERTS_SMTP": json.dumps(smtp), "AIRFLOW_CONN_ALERTS_WEBHOOK": json.dumps(http)}


@contextmanager
def listening() -> Iterator[Receivers]:
    receivers = Receivers()

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            receivers.posts.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    Thread(target=web.serve_forever, daemon=True).start()
    mail = Controller(receivers, hostname="127.0.0.1", port=free_port())
    mail.start()
    receivers.connections = connections(mail.port, web.server_port)
    try:
        yield receivers
    finally:
        mail.stop()
        web.shutdown()
        web.server_close()
