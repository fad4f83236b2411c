"""An HTTP proxy in front of an object store, that answers for it or breaks off where a test says so."""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """A server that hands requests on, and does what `trouble` says to those that read one of `names`."""

    daemon_threads = True

    def __init__(self, store: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = urlsplit(store)
        self.trouble, self.name, self.times, self.met = "", "", 0, 0
        self.meanwhile: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def make(self, trouble: str, name: str, times: int = 1_000_000) -> None:
        """Have trouble with the first so many requests that name a file, in the path or in the query."""
        self.trouble, self.name, self.times, self.met = trouble, name, times, 0

    def handle_error(self, *_: object) -> None:
        """A client that has gone is none of our business."""


class Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def trouble(self) -> str:
        proxy = self.server
        if not proxy.trouble or proxy.name not in self.path or proxy.met >= proxy.times:
            return ""
        # The middle of a file.
        if not proxy.trouble.isdecimal() and (self.command != "GET" or not self.asked_for_more):
            return ""
        proxy.met += 1
        return proxy.trouble

    @property
    def asked_for_more(self) -> bool:
        """Whether it is a file's later bytes that are asked for: its first ones are let through."""
        asked = self.headers.get("Range") or self.headers.get("x-ms-range") or ""
        return not asked.startswith("bytes=0-") and asked != ""

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        trouble = self.trouble()
        if trouble.isdecimal():
            self.reply(int(trouble), {"Content-Type": "text/plain"}, b"")
            return
        if trouble == "meanwhile":
            self.server.meanwhile()
        store = http.client.HTTPConnection(self.server.store.hostname or "", self.server.store.port or 80, timeout=60)
        # As it came, with its Host: that is signed.
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                store.putheader(name, value)
        store.endheaders(body)
        answer = store.getresponse()
        data = answer.read()
        store.close()
        if trouble == "ends early":
            data = b""
        self.reply(answer.status, dict(answer.getheaders()), data, cut=trouble == "cut")

    def reply(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        given = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
        if self.command != "HEAD":
            given = {name: value for name, value in given.items() if name.lower() != "content-length"}
            given["Content-Length"] = str(len(data))
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if cut:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = hand_on  # noqa: N815 - the names are the server's


@contextmanager
def proxy_of(store: str) -> Iterator[Proxy]:
    """A proxy of a store's URL for as long as the block lasts."""
    with Proxy(store) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()
