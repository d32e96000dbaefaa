"""A video of play with the actions drawn beneath the picture: `OverlayObserver` writes it while the game runs.

Drawing and encoding happen in a process of low priority, behind a short queue of pictures that are shrunk before they
wait, so that they cannot delay a live loop, however large the window is: in a real-time game a full queue, and a tick
that begins late, drop the frame (the last one stays on screen longer) and count it; a stepped game waits instead. The
process ends by itself when ours dies, and leaves a video that plays.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from eyehand.frame import glance
from eyehand.play.hud import WIDTH_PX, Hud, Shown
from eyehand.session import EpisodeEnd, EpisodeStart, Tick
from eyehand.spawned import heed, start_whole

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["OverlayObserver"]

_QUEUE_FRAMES, _QUEUE_BYTES = 200, 64_000_000
"""Ten seconds at 20 Hz, 46 MB of Doom's pictures: enough to sit out a busy stretch of the machine."""
_LATE_SHARE = 0.5
"""A tick that begins later than this share of its length has no time left for its video."""
_END_TIMEOUT_S = 60.0
_PATIENCE_S = 20.0
"""An encoder that takes no frame for so long hangs, and is ended."""


Message = tuple[int, Shown]
"""A tick number that counts on over all episodes, and what to show from then on."""


class OverlayObserver:
    """Writes one .mp4 (H.264, yuv420p, index at the front) of all episodes that it is shown, one after the other.

    Call `close` after the last episode; the file is complete only then.

    Args:
        path: the .mp4; its folder must exist.
        player: the player's name, shown in a corner.
        fps: ticks per second, which become frames per second.
    """

    def __init__(self, path: Path, player: str, fps: float) -> None:
        self.path = path
        self.num_dropped = 0
        self.problem: str | None = None
        self._player = player
        self._fps = fps
        self._start: EpisodeStart | None = None
        self._first_tick = 0
        self._next_tick = 0
        self._queue: queue.Queue[Message | None] = queue.Queue(_QUEUE_FRAMES)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._connection = ours
        self._process: BaseProcess = context.Process(
            target=_encode_process, args=(theirs, str(path), fps), name="eyehand overlay", daemon=True
        )
        start_whole(self._process)
        theirs.close()
        self._sender = threading.Thread(target=self._send, name="eyehand overlay sender", daemon=True)
        self._sender.start()

    def wait_ready(self) -> None:
        """Return when the process is up, so that its start does not take CPU from the first ticks."""
        with contextlib.suppress(EOFError, OSError):
            if self._connection.poll(_END_TIMEOUT_S):
                self._connection.recv()

    def on_start(self, start: EpisodeStart) -> None:
        self._start = start
        self._first_tick = self._next_tick

    def on_tick(self, tick: Tick) -> None:
        assert self._start is not None
        number = self._first_tick + tick.index
        is_first, self._next_tick = self._next_tick == 0, number + 1
        if self._start.is_realtime and tick.late_ns > _LATE_SHARE * 1e9 / self._fps and not is_first:
            self.num_dropped += 1  # video before ticks
            return
        action, pixels = tick.executed, glance(tick.frame.captured, WIDTH_PX)
        self._queue.maxsize = max(2, min(_QUEUE_FRAMES, _QUEUE_BYTES // pixels.nbytes))
        shown = Shown(
            pixels=pixels,
            keys=action.keys,
            buttons=action.buttons,
            dx=action.dx,
            dy=action.dy,
            instruction=tick.instruction,
            player=self._player,
            task=self._start.task.name,
            score=tick.outcome.score,
            score_name=self._start.task.score,
            seconds=tick.index / self._fps,
            latency_ms=tick.latency_ms,
            is_late=tick.is_late,
        )
        if not self._start.is_realtime:
            self._hand_over((number, shown))
            return
        try:
            self._queue.put_nowait((number, shown))
        except queue.Full:
            self.num_dropped += 1

    def on_end(self, end: EpisodeEnd) -> None:
        self._start = None

    def close(self) -> None:
        """Finish the file. May be called twice. What went wrong in the other process is in `problem` afterwards."""
        if self._process.exitcode is not None and not self._sender.is_alive():
            return
        self._hand_over(None)
        while self._sender.is_alive():
            num_waiting = self._queue.qsize()
            self._sender.join(_PATIENCE_S)
            if self._queue.qsize() == num_waiting:
                self._end_hung()
        self._process.join(_END_TIMEOUT_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._read_problem()
        self._connection.close()

    @property
    def is_complete(self) -> bool:
        """Whether the file is there and plays; False before `close`."""
        return self._process.exitcode == 0 and self.problem is None and self.path.is_file()

    def _hand_over(self, message: Message | None) -> None:
        """Wait for room in the queue, but not for an encoder that hangs."""
        try:
            self._queue.put(message, timeout=_PATIENCE_S)
        except queue.Full:
            self._end_hung()
            self._queue.put(message)

    def _end_hung(self) -> None:
        """End a process that takes nothing; the sender then empties the queue."""
        if self._sender.is_alive() and self._process.is_alive():
            self.problem = f"the process that writes it took nothing for {_PATIENCE_S:g} s"
            self._process.kill()

    def _read_problem(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while self._connection.poll():
                self.problem = self._connection.recv() or self.problem
        if self.problem is None and self._process.exitcode != 0:
            self.problem = f"the process that writes it ended with status {self._process.exitcode}"

    def _send(self) -> None:
        """Hand messages over to the process; after it has died, only empty the queue."""
        is_alive = True
        while True:
            message = self._queue.get()
            try:
                if is_alive:
                    self._connection.send(message)
            except OSError:
                is_alive = False
            if message is None:
                return
            self.num_dropped += not is_alive


def _encode_process(connection: Connection, path: str, fps: float) -> None:
    """The other process: read messages until None or until the sender is gone, then close the file."""
    for name in {"SIGINT", "SIGHUP"} & set(dir(signal)):  # they are for the player; the file still gets its end
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    heed()
    if hasattr(os, "nice"):
        os.nice(10)
    try:
        _encode(connection, path, fps)
    except Exception as error:  # reported to the process that owns us, which says it to the user
        with contextlib.suppress(OSError):
            connection.send(str(error) or type(error).__name__)


def _encode(connection: Connection, path: str, fps: float) -> None:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    connection.send("")
    message: Message | None = _receive(connection)
    if message is None:
        return
    height, width = message[1].pixels.shape[:2]
    hud = Hud(picture_height_px=round(WIDTH_PX * height / width / 2) * 2)
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate, options={"preset": "veryfast", "crf": "25", "threads": "1", "g": str(round(2 * fps))}
        )
        stream.width, stream.height = hud.size_px
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / rate
        while message is not None:
            number, shown = message
            frame = av.VideoFrame.from_ndarray(hud.draw(shown), format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
            message = _receive(connection)
        container.mux(stream.encode())


def _receive(connection: Connection) -> Message | None:
    try:
        message: Message | None = connection.recv()
    except (EOFError, OSError):
        return None
    return message
