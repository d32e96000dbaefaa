"""The thread that runs the model, and the mailboxes of the clients that share it.

    Request --> Mailbox (the newest wins) --> ModelThread: clients take turns --> Answer

Each client has a player of its own (an episode, an instruction, random numbers) over one network, so nothing of one
reaches another. Clients with a waiting frame are served round robin, one frame at a time. Knows no sockets.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.player import Observation, Player

__all__ = ["Answer", "Mailbox", "ModelThread", "Request"]


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
        wait_ms: from the arrival of the frame to the start of the decision.
        decide_ms: duration of the decision; stage_ms: of its stages, where the player measures them.
    """

    request: Request
    action: Action
    wait_ms: float
    decide_ms: float
    stage_ms: Mapping[str, float] = field(default_factory=dict)


class Mailbox:
    """One client's newest Request and player at the ModelThread. Made by `ModelThread.mailbox`."""

    def __init__(
        self, thread: ModelThread, on_answer: Callable[[Answer], None], on_failure: Callable[[Exception], None]
    ) -> None:
        self._thread = thread
        self.on_answer, self.on_failure = on_answer, on_failure
        self.newest: Request | None = None
        self.is_closed = False
        self.player: Player | None = None
        self.answered = NOTHING

    def put(self, request: Request) -> None:
        """Request a decision on this frame; it replaces one that still waits."""
        self._thread.put(self, request)

    def close(self) -> None:
        """Stop answering and free the player's memory."""
        self._thread.close(self)


class ModelThread:
    """Runs players for mailboxes; a context manager that starts and ends the thread.

    Args:
        new_player: makes the player of one client; called on the thread, at the client's first frame.
    """

    def __init__(self, new_player: Callable[[], Player]) -> None:
        self._new_player = new_player
        self._changed = threading.Condition()
        self._waiting: deque[Mailbox] = deque()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="eyehand model", daemon=True)

    def __enter__(self) -> ModelThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(timeout=5.0)

    def mailbox(self, on_answer: Callable[[Answer], None], on_failure: Callable[[Exception], None]) -> Mailbox:
        """A new client's mailbox. Both functions are called on the thread and must return at once.

        Args:
            on_answer: called with every decision.
            on_failure: called with an exception of the player; the client should be closed then.
        """
        return Mailbox(self, on_answer, on_failure)

    def put(self, mailbox: Mailbox, request: Request) -> None:
        """See `Mailbox.put`."""
        with self._changed:
            if mailbox.is_closed:
                return
            if mailbox.newest is None:
                mailbox.newest = request
                self._waiting.append(mailbox)
                self._changed.notify()
            else:
                mailbox.newest = request.replacing(mailbox.newest)

    def close(self, mailbox: Mailbox) -> None:
        """See `Mailbox.close`."""
        with self._changed:
            mailbox.is_closed, mailbox.newest, mailbox.player = True, None, None
            if mailbox in self._waiting:
                self._waiting.remove(mailbox)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                if self._is_ending:
                    return
                mailbox = self._waiting.popleft()
                request, mailbox.newest = mailbox.newest, None
                player = mailbox.player
            if request is None:
                continue
            try:
                answer = self._decide(mailbox, player, request)
            except Exception as error:  # the fault of one client's request must not end the others'
                mailbox.on_failure(error)
                continue
            if not mailbox.is_closed:
                mailbox.on_answer(answer)

    def _decide(self, mailbox: Mailbox, player: Player | None, request: Request) -> Answer:
        begin_ns = time.monotonic_ns()
        if player is None:
            player = self._new_player()
            player.reset(request.seed or 0)
            with self._changed:
                mailbox.player = None if mailbox.is_closed else player
        elif request.seed is not None:
            player.reset(request.seed)
        executed = mailbox.answered if request.executed is None else request.executed
        frame = Frame(request.pixels, request.arrived_ns, max(0, request.frame_id))
        action = player.act(Observation(frame, request.instruction, executed)).action
        mailbox.answered = action
        stages = getattr(player, "stage_ms", None)
        return Answer(
            request,
            action,
            wait_ms=(begin_ns - request.arrived_ns) / 1e6,
            decide_ms=(time.monotonic_ns() - begin_ns) / 1e6,
            stage_ms=dict(stages) if isinstance(stages, Mapping) else {},
        )
