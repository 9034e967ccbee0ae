"""python -m sam_edu explore: serve the click lab on this machine, computing in Python."""

import json
import struct
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Lock
from typing import Any

from sam_edu.explorer.service import Service
from sam_edu.explorer.situations import address
from sam_edu.explorer.still import still
from sam_edu.predictor import Predictor

HOST = "127.0.0.1"
"""This machine alone: others on the network cannot ask."""

TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript"}
FILES = ("index.html", "explorer.css", "page.js")
MOST_BYTES = 64 * 2**20


def static_file(name: str) -> bytes:
    """A file of the built front-end.

    Raises:
        FileNotFoundError: the package lacks it.
    """
    path = files("sam_edu") / "explorer" / "static" / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: install sam_edu again")
    return path.read_bytes()


def page() -> bytes:
    """The page, told that Python computes."""
    return static_file("index.html").replace(b'data-backend="browser"', b'data-backend="python"', 1)


def serve(
    predictor: Predictor,
    port: int = 0,
    open_browser: bool = True,
    started: Callable[[str], None] = print,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        predictor: of the model.
        port: 0 takes one that is free.
        open_browser: open the page.
        started: called with the address.
        state: what is set at first, as a link of the page holds it.

    Raises:
        OSError: the port is taken.
    """
    with server(predictor, port) as one:
        opened = f"http://{HOST}:{one.server_address[1]}/{address(state) if state else ''}"
        started(opened)
        if open_browser:
            webbrowser.open_new_tab(opened)
        try:
            one.serve_forever()
        except KeyboardInterrupt:
            started("Stopped.")


def server(predictor: Predictor, port: int = 0) -> ThreadingHTTPServer:
    """The server, not yet running."""
    service, lock = Service(predictor), Lock()
    drawn = still(service).png

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].lstrip("/") or "index.html"
            if name == "still.png":
                self._send(200, "image/png", drawn)
                return
            if name not in FILES:
                self._send(404, "text/html; charset=utf-8", f"{name}: there is no such file.".encode())
                return
            body = page() if name == "index.html" else static_file(name)
            self._send(200, TYPES[name.rsplit(".", 1)[-1]], body)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if self.path != "/ask" or not self._is_own() or not 4 <= length <= MOST_BYTES:
                self._send(400, "text/plain", b"This is no question of the click lab.")
                return
            body = self.rfile.read(length)
            with lock:  # the model's hooks belong to one decode at a time
                answer = respond(service, body)
            self._send(200, "application/octet-stream", answer)

        def _is_own(self) -> bool:
            """Whether the question comes from this server's own page, not from another site in the same browser."""
            origin = self.headers.get("Origin")
            return origin is None or origin == f"http://{self.headers.get('Host')}"

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each request."""

    return ThreadingHTTPServer((HOST, port), Handler)


def respond(service: Service, body: bytes) -> bytes:
    """The answer to a question; both are the length of the JSON, the JSON with the bytes' lengths, and the bytes."""
    try:
        end = 4 + struct.unpack("<I", body[:4])[0]
        question = json.loads(body[4:end])
        if not isinstance(question, dict):
            raise ValueError(f"expected an object, got {type(question).__name__}")
        buffers, at = [], end
        for size in question.pop("bytes", []):
            buffers.append(body[at : at + size])
            at += size
        answer, given = service.answer(question, buffers)
    except (ValueError, struct.error) as error:
        answer, given = {"error": f"This is no question of the click lab: {error}"}, []
    header = json.dumps({**answer, "bytes": [len(one) for one in given]}).encode()
    return struct.pack("<I", len(header)) + header + b"".join(given)
