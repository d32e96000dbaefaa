"""The thread that runs the model, and the mailboxes of the clients that share it.

    Request --> Mailbox (the newest wins) --> [shrunk, if large] --> ModelThread: clients take turns --> Answer

Each client has a player of its own (an episode, an instruction, random numbers) over one network, so nothing of one
reaches another. Clients with a waiting frame are served round robin, one frame at a time. A thread of its own shrinks
large pictures, round robin too, so that other clients do not wait for them. Knows no sockets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.player import Observation, Player

__all__ = ["Answer", "Mailbox", "ModelThread", "Request"]

_LARGE_PX = 1920 * 1080
"""A picture of more pixels is large: half a millisecond of resizing is what the others may wait for."""


@dataclass(frozen=True)
class Request:
    """A client's frame that awaits an action.

    Attributes:
        frame_id: of the client; comes back in the Answer.
        pixels: uint8 RGB (H, W, 3), any size.
        arrived_ns: time of its complete arrival, on the monotonic clock.
        captured_ns: time of capture, on the client's clock.
        instruction: of the client; None: none.
        executed: the action executed since the frame before; None: the one of the last Answer.
        seed: of an episode that begins with this frame; None: the episode continues.
        num_dropped: earlier frames that this one has replaced.
    """

    frame_id: int
    pixels: NDArray[np.uint8]
    arrived_ns: int
    captured_ns: int = 0
    instruction: str | None = None
    executed: Action | None = None
    seed: int | None = None
    num_dropped: int = 0

    def replacing(self, older: Request) -> Request:
        """This request in place of an older unanswered one, whose seed and executed action it keeps."""
        num_dropped = self.num_dropped + older.num_dropped + 1
        if self.seed is not None:
            return replace(self, num_dropped=num_dropped)
        executed = self.executed
        if executed is not None and older.executed is not None:
            executed = older.executed.then(executed)
        return replace(self, executed=executed, seed=older.seed, num_dropped=num_dropped)


@dataclass(frozen=True)
class Answer:
    """The player's action for a Request, with its timing.

    Attributes:
        wait_ms: from the arrival of the frame to the start of the decision; the resizing of a large one is in it.
        decide_ms: duration of the decision; stage_ms: of its stages, where the player measures them.
    """

    request: Request
    action: Action
    wait_ms: float
    decide_ms: float
    stage_ms: Mapping[str, float] = field(default_factory=dict)


class Mailbox:
    """One client's place at the ModelThread, with its player. Made by `ModelThread.mailbox`."""

    def __init__(
        self, thread: ModelThread, on_answer: Callable[[Answer], None], on_failure: Callable[[Exception], None]
    ) -> None:
        self._thread = thread
        self.on_answer, self.on_failure = on_answer, on_failure
        self.is_closed = False
        self.player: Player | None = None
        self.answered = NOTHING

    def put(self, request: Request) -> None:
        """Request a decision on this frame; it replaces one that still waits."""
        self._thread.put(self, request)

    def close(self) -> None:
        """Stop answering, and free the player's memory and the client's."""
        self._thread.close(self)


class _Turns:
    """The mailboxes that wait for one thread, in the order of their turns, each with its newest Request.

    Attributes:
        waiting: guarded by the lock of `changed`.
        current: the mailbox whose turn it is.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self.changed = threading.Condition(lock)
        self.waiting: dict[Mailbox, Request] = {}
        self.current: Mailbox | None = None

    def put(self, mailbox: Mailbox, request: Request) -> None:
        """Wait for a turn, or replace the Request that waits for it. Call it with the lock held."""
        older = self.waiting.get(mailbox)
        self.waiting[mailbox] = request if older is None else request.replacing(older)
        self.changed.notify()


class ModelThread:
    """Runs players for mailboxes; a context manager that starts and ends its two threads.

    Args:
        new_player: makes the player of one client; called on the model's thread, at the client's first frame.
        shrink: resizes a picture to the model's size; called with large ones, on the other thread.
    """

    def __init__(
        self, new_player: Callable[[], Player], shrink: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    ) -> None:
        self._new_player, self._shrink = new_player, shrink
        self._lock = threading.Lock()
        self._deciding, self._shrinking = _Turns(self._lock), _Turns(self._lock)
        self._is_ending = False
        self._threads = [
            threading.Thread(target=self._run, args=(turns, work), name=f"eyehand {name}", daemon=True)
            for turns, work, name in (
                (self._deciding, self._decide, "model"),
                (self._shrinking, self._shrink_picture, "large pictures"),
            )
        ]

    def __enter__(self) -> ModelThread:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_ending = True
            self._deciding.changed.notify()
            self._shrinking.changed.notify()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def mailbox(self, on_answer: Callable[[Answer], None], on_failure: Callable[[Exception], None]) -> Mailbox:
        """A new client's mailbox. Both functions are called on the threads and must return at once.

        Args:
            on_answer: called with every decision.
            on_failure: called with an exception of the player; the client should be closed then.
        """
        return Mailbox(self, on_answer, on_failure)

    def put(self, mailbox: Mailbox, request: Request) -> None:
        """See `Mailbox.put`. A client's frames stay in order: none goes past a large one that is being shrunk."""
        with self._lock:
            if mailbox.is_closed:
                return
            height, width, _ = request.pixels.shape
            is_behind = mailbox in self._shrinking.waiting or mailbox is self._shrinking.current
            (self._shrinking if is_behind or height * width > _LARGE_PX else self._deciding).put(mailbox, request)

    def close(self, mailbox: Mailbox) -> None:
        """See `Mailbox.close`."""
        with self._lock:
            mailbox.is_closed, mailbox.player = True, None
            # They know the client, and the client knows its mailbox: such a circle is freed late.
            mailbox.on_answer, mailbox.on_failure = _ignore, _ignore
            for turns in (self._deciding, self._shrinking):
                turns.waiting.pop(mailbox, None)

    def _run(self, turns: _Turns, work: Callable[[Mailbox, Request], None]) -> None:
        while self._take_turn(turns, work):
            pass

    def _take_turn(self, turns: _Turns, work: Callable[[Mailbox, Request], None]) -> bool:
        """Do the work of one Request, when there is one; False: the end. Nothing of a client stays on the thread."""
        with self._lock:
            turns.changed.wait_for(lambda: turns.waiting or self._is_ending)
            if self._is_ending:
                return False
            mailbox = turns.current = next(iter(turns.waiting))
            request = turns.waiting.pop(mailbox)
        try:
            work(mailbox, request)
        except Exception as error:  # the fault of one client's request must not end the others'
            mailbox.on_failure(error)
        turns.current = None
        return True

    def _shrink_picture(self, mailbox: Mailbox, request: Request) -> None:
        small = replace(request, pixels=self._shrink(request.pixels))
        with self._lock:
            if not mailbox.is_closed:
                self._deciding.put(mailbox, small)

    def _decide(self, mailbox: Mailbox, request: Request) -> None:
        begin_ns = time.monotonic_ns()
        player = mailbox.player
        if player is None:
            player = self._new_player()
            player.reset(request.seed or 0)
            with self._lock:
                mailbox.player = None if mailbox.is_closed else player
        elif request.seed is not None:
            player.reset(request.seed)
        executed = mailbox.answered if request.executed is None else request.executed
        frame = Frame(request.pixels, request.arrived_ns, max(0, request.frame_id))
        action = player.act(Observation(frame, request.instruction, executed)).action
        mailbox.answered = action
        stages = getattr(player, "stage_ms", None)
        answer = Answer(
            request,
            action,
            wait_ms=(begin_ns - request.arrived_ns) / 1e6,
            decide_ms=(time.monotonic_ns() - begin_ns) / 1e6,
            stage_ms=dict(stages) if isinstance(stages, Mapping) else {},
        )
        mailbox.on_answer(answer)


def _ignore(_: object) -> None: ...
