"""A real headless Chromium, driven through its DevTools protocol over two pipes, without any package for it.

`browser()` gives a Page or skips the test with the reason. `Page.evaluate` runs JavaScript and waits for its promise.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from programs import need

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PROFILE = "eyehand-chromium-"


class Page:
    """One tab. Everything that the browser asks of the network is in `requests`."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One call of the protocol; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._send, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")  # or another fragment of the same file would load nothing
        self.call("Page.navigate", url=f"file://{path}{fragment}")
        self.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))"
        )

    def evaluate(self, javascript: str) -> Any:
        """The value of an expression; of a promise, what it resolves to."""
        result = self.call("Runtime.evaluate", expression=javascript, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, code: str | None = None, modifiers: int = 0) -> None:
        """Press a key and let it go, as a person does."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=modifiers, **text)
            text = {}

    def resize(self, width: int, height: int, is_phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=2 if is_phone else 1, mobile=is_phone,
        )  # fmt: skip

    def scheme(self, name: str) -> None:
        """Prefer the `light` or the `dark` colour scheme."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._receive, 1 << 20)
            assert chunk, "Chromium has gone"
            self._buffer += chunk
        data, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(data)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
        return message


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A new browser with a profile of its own, gone afterwards. Skips where none is installed."""
    program = need(*NAMES)
    profile = tempfile.mkdtemp(prefix=_PROFILE)
    to_browser, send = os.pipe()
    receive, from_browser = os.pipe()

    def take_pipes() -> None:  # Chromium reads from 3 and writes to 4
        high = [os.dup(to_browser), os.dup(from_browser)]
        high = [os.dup2(each, 100 + number) for number, each in enumerate(high)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    process = subprocess.Popen(
        [
            *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--mute-audio"),
            *(f"--user-data-dir={profile}", "--no-first-run", "--disable-dev-shm-usage", "--disable-extensions"),
            *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"),
            "--window-size=1200,900",
            *("--autoplay-policy=no-user-gesture-required", "about:blank"),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
        preexec_fn=take_pipes,  # noqa: PLW1509  # two dups, no lock: safe beside threads
        start_new_session=True,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(send, receive)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(send)
        os.close(receive)
        shutil.rmtree(profile, ignore_errors=True)
