"""The part of a hub's HTTP interface that pushing and pulling a data set needs, on a port of this machine.

Small files only: those travel inside the commit; large ones would go to a storage of their own (LFS, Xet).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["HubServer"]

_SHA = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Runs while used as a context manager.

    Attributes:
        files: content by path.
        num_commits: so far.
        failures: HTTP statuses to answer the next commits with.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.exists = False
        self.files: dict[str, bytes] = {}
        self.num_commits = 0
        self.failures: list[int] = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the headers and the content of an answer are sent one after the other

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _missing(self, code: str) -> None:
        self._answer({"error": "not found"}, 404, {"X-Error-Code": code, "X-Error-Message": "not found"})

    def _entry(self, path: str) -> dict[str, Any]:
        data = self.server.files[path]
        return {"type": "file", "path": path, "size": len(data), "oid": _git_oid(data)}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            self.server.exists = True
            self._answer({"url": f"{self.server.endpoint}/datasets/me/play", "id": "me/play"})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif not self.server.exists:
            self._missing("RepoNotFound")
        elif "/preupload/" in path:
            files = [each["path"] for each in json.loads(body)["files"]]
            self._answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]})
        elif "/commit/" in path:
            self._commit(body)
        elif "/paths-info/" in path:
            names = (
                json.loads(body)["paths"] if body[:1] == b"{" else re.findall(r"paths=([^&]*)", unquote(body.decode()))
            )
            self._answer([self._entry(name) for name in names if name in self.server.files])
        else:
            self._answer({"error": path}, 400)

    def _commit(self, body: bytes) -> None:
        if self.server.failures:
            self._answer({"error": "no"}, self.server.failures.pop(0))
            return
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.server.num_commits += 1
        url = f"{self.server.endpoint}/datasets/me/play/commit/{_SHA}"
        self._answer({"commitUrl": url, "commitOid": _SHA, "success": True})

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self.server.exists:
            self._missing("RepoNotFound")
        elif "/tree/" in path:
            self._answer([self._entry(name) for name in sorted(self.server.files)])
        elif "/resolve/main/" in path:
            self._send(path.partition("/resolve/main/")[2])
        elif path.startswith("/api/datasets/me/play"):
            self._answer({"id": "me/play", "sha": _SHA, "siblings": []})
        else:
            self._answer({"error": path}, 400)

    do_HEAD = do_GET

    def _send(self, name: str) -> None:
        if name not in self.server.files:
            self._missing("EntryNotFound")
            return
        data = self.server.files[name]
        headers = {"ETag": _git_oid(data), "X-Repo-Commit": _SHA, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            self._answer(data, 200, headers)
            return
        part = data[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None]
        headers["Content-Range"] = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}"
        self._answer(part, 206, headers)


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
