"""Live play as a page in the browser: `Viewer` shows the newest picture, the executed action, and who is in control.

It observes a Session (and gets every picture when it is captured), and serves one page on one address. Every request
needs the token. A page is sent the next picture when it has shown the last one: a slow line shows fewer pictures, never
late ones, and the loop never waits. Keys and mouse of a page that takes over go to `Takeover.hear` as remote input;
those of a silent page are released.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from eyehand.clock import FPS
from eyehand.foreign import parse_json
from eyehand.frame import Frame, glance
from eyehand.players.takeover import Takeover
from eyehand.session import EpisodeEnd, EpisodeStart, Tick
from eyehand.viewer.remote_input import RemoteInput, parse_remote_input
from eyehand.viewer.websocket import Broken, WebSocket, accept_key
from eyehand.wire.address import Address
from eyehand.wire.sockets import listen

__all__ = ["Viewer"]

_JPEG_QUALITY, _WIDTH_PX = 80, 960
_SILENCE_NS = 500_000_000
_FAREWELL_S = 0.5
_MOST_INSTRUCTION = 500
_MAX_WATCHERS = 8
_MAX_UNKNOWN = 32
"""Connections that have not shown the token, or only fetch a file; one more ends the oldest."""
_REQUEST_S, _SILENT_S = 10, 600
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HERE = Path(__file__).parent


class Viewer:
    """The web server of one play's page. It listens from construction to `close`.

    Args:
        address: to listen on; port 0 takes a free one.
        takeover: gets the pages' keys and mouse; None: pages only watch.

    Attributes:
        url: of the page, with its token.
        seconds: how long play lasts in all episodes; None: nobody knows.
        keys: those of the game, which a page shows always; empty: some that many games use.
        instruct: called with what a page tells the agent to do, on the page's thread; None: pages tell nothing.
        ended: told to the pages at the end, why it has ended.

    Raises:
        UserError: the address cannot be bound.
    """

    def __init__(self, address: Address, takeover: Takeover | None = None) -> None:
        token = secrets.token_urlsafe(24)
        listening = listen(address, token=token)
        self.takeover = takeover
        self.seconds: float | None = None
        self.keys: Sequence[str] = ()
        self.instruct: Callable[[str], None] | None = None
        self.ended = "it is over"
        self._played_s = self._before_s = 0.0
        self._fps = FPS
        self.url = f"http://{listening.address}/?token={token}"
        self._changed = threading.Condition()
        self._number = 0
        self._frame: Frame | None = None
        self._facts: dict[str, Any] = {}
        self._task = self._score_name = ""
        self._sockets: dict[WebSocket, threading.Thread] = {}
        self._far = RemoteInput(takeover) if takeover is not None else None
        self._is_open = True
        self._server = _Server(listening.socket, _handler(self, token))
        self._thread = threading.Thread(target=self._server.serve_forever, name="eyehand viewer", daemon=True)
        self._thread.start()

    def look(self, frame: Frame) -> None:
        """Show this picture from now on. Cheap: the threads of the open pages encode it."""
        with self._changed:
            self._frame = frame
            self._number += 1
            self._changed.notify_all()
        if self._far is not None:
            self._far.drop_silent(time.monotonic_ns(), _SILENCE_NS)

    def on_start(self, start: EpisodeStart) -> None:
        self._task, self._score_name = start.task.name, start.task.score
        self._fps, self._before_s = start.fps, self._played_s

    def on_tick(self, tick: Tick) -> None:
        """Show the executed action; the picture too, if `look` is not called."""
        action = tick.executed
        self._played_s = self._before_s + (tick.index + 1) / self._fps
        self._facts = {
            "keys": sorted(action.keys),
            "buttons": sorted(action.buttons),
            "dx": action.dx,
            "dy": action.dy,
            "scroll": action.scroll_dy,
            "instruction": tick.instruction or "",
            "score": tick.outcome.score,
            "late": tick.is_late,
            "left_s": None if self.seconds is None else max(0, round(self.seconds - self._played_s)),
        }
        if self._frame is None or self._frame.time_ns < tick.frame.time_ns:
            self.look(tick.frame)

    def on_end(self, end: EpisodeEnd) -> None: ...

    def close(self) -> None:
        """Tell all pages that it has ended, close them and stop the server. May be called twice."""
        with self._changed:
            if not self._is_open:
                return
            self._is_open = False
            self._changed.notify_all()
            sockets = dict(self._sockets)
        until_s = time.monotonic() + _FAREWELL_S
        for sender in sockets.values():
            sender.join(max(0.0, until_s - time.monotonic()))
        self._server.shutdown()
        self._server.server_close()
        for connection in sockets:
            connection.close()
        self._thread.join()

    def attend(self, connection: WebSocket) -> None:
        """Serve one page until it is closed; on the thread of its connection."""
        watcher = _Watcher()
        sender = threading.Thread(target=self._send, args=(connection, watcher), name="eyehand watcher", daemon=True)
        with self._changed:
            if not self._is_open or len(self._sockets) >= _MAX_WATCHERS:
                return
            self._sockets[connection] = sender
            sender.start()
        try:
            while (message := connection.receive()) is not None:
                self._receive(parse_json(message), watcher)
        except (Broken, ValueError, TypeError, KeyError):
            pass  # what such a page says next would mean nothing either
        finally:
            connection.close()  # else the sender would wait for a page that does not read
            with self._changed:
                self._sockets.pop(connection, None)
                watcher.is_gone = True
                self._changed.notify_all()
            if self._far is not None:
                self._far.leave(watcher, time.monotonic_ns())
            sender.join()

    def _receive(self, message: Mapping[str, Any], watcher: _Watcher) -> None:
        """Handle a page's message: a picture was shown, an instruction, an input state, or one of the buttons."""
        if "shown" in message:
            with self._changed:
                watcher.is_waiting = True
                self._changed.notify_all()
        if self.instruct is not None and "instruction" in message:
            self.instruct(str(message["instruction"])[:_MOST_INSTRUCTION].strip())
        if self._far is None or self.takeover is None:
            return
        now_ns = time.monotonic_ns()
        if "input" in message:
            self._far.hear(watcher, parse_remote_input(message["input"]), now_ns)
        if message.get("thumb") in ("up", "down"):
            self.takeover.rate(message["thumb"] == "up", now_ns)
        if message.get("resume"):
            self.takeover.resume(now_ns)
        if message.get("stop"):
            self.takeover.panic(now_ns)

    def _send(self, connection: WebSocket, watcher: _Watcher) -> None:
        """Send pictures, each as soon as the page is ready for it and there is a newer one."""
        shown = 0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: watcher.is_gone or not self._is_open or (watcher.is_waiting and self._number > shown)  # noqa: B023
                )
                if watcher.is_gone or self._frame is None:
                    return
                is_last = not self._is_open
                frame, shown, watcher.is_waiting = self._frame, self._number, False
            if not connection.send(self._message(frame, self.ended if is_last else None)) or is_last:
                return

    def _message(self, frame: Frame, ended: str | None) -> bytes:
        """Length of the facts as uint32 big-endian, the facts as JSON, the picture as JPEG."""
        takeover = self.takeover
        facts = json.dumps(
            {
                **self._facts,
                "task": self._task,
                "turn": "agent" if takeover is None else takeover.turn.value,
                "resume": None if takeover is None else takeover.keys.resume_key,
                "panic": None if takeover is None else takeover.keys.panic_key,
                "thumbs": takeover.thumbs if takeover is not None and takeover.is_rated else None,
                "game_keys": self.keys,
                "score_name": self._score_name,
                "can_tell": self.instruct is not None,
                "ended": ended,
                "frame": frame.index,
            }
        ).encode()
        small, picture = glance(frame.captured, _WIDTH_PX), io.BytesIO()
        layout = {3: "RGB", 4: "BGRX"}[small.shape[2]]
        Image.frombuffer("RGB", small.shape[1::-1], np.ascontiguousarray(small), "raw", layout, 0, 1).save(
            picture, "JPEG", quality=_JPEG_QUALITY
        )
        return struct.pack(">I", len(facts)) + facts + picture.getvalue()


class _Watcher:
    """One open page."""

    def __init__(self) -> None:
        self.is_waiting = False
        self.is_gone = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: Any, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.unknown: dict[Any, None] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread."""
        self.unknown[request] = None
        if len(unknown := list(self.unknown)) > _MAX_UNKNOWN:
            self.unknown.pop(unknown[0], None)
            with contextlib.suppress(OSError):
                unknown[0].shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.unknown.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a page that closes in the middle of an answer is no fault."""


def _handler(viewer: Viewer, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _REQUEST_S

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            given = parse_qs(url.query).get("token", [""])[0]
            if url.path in ("/page.js", "/page.css"):
                self._answer_file(url.path)
            elif not hmac.compare_digest(given.encode(), token.encode()):
                self._answer(403, "text/plain", b"The token is missing or wrong: use the whole address.\n")
            elif url.path == "/":
                self._answer_file("/")
            elif url.path == "/play":
                self._upgrade()
            else:
                self._answer(404, "text/plain", b"There is no such page.\n")

        def _upgrade(self) -> None:
            key = self.headers.get("Sec-WebSocket-Key")
            if key is None or self.headers.get("Upgrade", "").lower() != "websocket":
                self._answer(400, "text/plain", b"This is the page's own connection.\n")
                return
            self.close_connection = True
            assert isinstance(self.server, _Server)
            self.server.unknown.pop(self.connection, None)
            self.connection.settimeout(_SILENT_S)
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accept_key(key))
            self.end_headers()
            self.wfile.flush()
            viewer.attend(WebSocket(self.connection))

        def _answer_file(self, path: str) -> None:
            name, kind = _FILES[path]
            self._answer(200, kind, (_HERE / name).read_bytes())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Log nothing: the terminal belongs to play."""

    return Handler
