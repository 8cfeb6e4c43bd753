"""A small HTTP server for questions that have short answers, in threads of its own.

Only so many are served at once, and where one more comes, who has been there the longest is cut off: nobody who reaches
the port can use up the daemon's threads, or keep others from an answer by asking a byte at a time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

#: Seconds that a client has for each piece of its question, and how many are served at once.
PATIENCE, CONNECTIONS = 5.0, 16


class Answer(NamedTuple):
    """``code`` is that of HTTP."""

    code: int
    content_type: str
    content: bytes


#: By path; what is handed in is the header Accept.
Routes = Mapping[str, Callable[[str], Answer]]


def text(code: int, lines: list[str]) -> Answer:
    """``lines`` as plain text."""
    return Answer(code, "text/plain; charset=utf-8", "".join(f"{line}\n" for line in lines).encode())


class Server:
    """Answers ``routes`` at ``host`` and ``port`` until it is closed.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE
            server_version, sys_version = "lived", ""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                route = routes.get(path)
                if route is None:
                    answer = text(404, [f"there is {', '.join(routes)}"])
                else:
                    answer = route(self.headers.get("Accept", ""))
                self.send_response(answer.code)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.content)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """A question every few seconds is nothing to log."""

        self._server = _Server((host.strip("[]"), port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 4 * CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._lock = threading.Lock()
        self._served: dict[socket.socket, None] = {}  # the oldest first
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection; where there are too many, one less of those that take long."""
        with self._lock:
            while len(self._served) >= CONNECTIONS:
                oldest = next(iter(self._served))
                del self._served[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread finds nobody there
            self._served[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The connection is over."""
        with self._lock:  # from here on its descriptor may be another's
            self._served.pop(request, None)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to log."""
