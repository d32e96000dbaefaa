"""`Advice`: an observer that says in words, while a person is recorded, what makes a recording worth less."""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

from eyehand.action import NOTHING
from eyehand.session import EpisodeEnd, EpisodeStart, Tick

__all__ = ["Advice"]

_LOOKED_AT = 200
_MOST_DROPPED = 20
_SILENCE_TICKS = 600
_IDLE_TICKS = 1200
_LEAST_BYTES = 500_000_000


class Advice:
    """Watches ticks of a real-time Session.

    Args:
        say: told what is wrong; every sentence begins with a bell.
        out: where it is recorded, whose disk fills up.
        key_pause: the hotkey that pauses.
    """

    def __init__(self, say: Callable[[str], None], out: Path, key_pause: str) -> None:
        self._say = say
        self._out = out
        self._key_pause = key_pause
        self._ticks: deque[int] = deque(maxlen=_LOOKED_AT)
        self._quiet_until = 0
        self._done_at: int | None = 0
        self._is_disk_told = False

    def on_start(self, start: EpisodeStart) -> None:
        self._ticks.clear()
        self._quiet_until, self._done_at = 0, 0

    def on_tick(self, tick: Tick) -> None:
        self._ticks.append(tick.index)
        num_ticks = tick.index - self._ticks[0] + 1
        num_dropped = num_ticks - len(self._ticks)
        if num_dropped > _MOST_DROPPED and num_ticks >= _LOOKED_AT and tick.index >= self._quiet_until:
            self._quiet_until = tick.index + _SILENCE_TICKS
            self._say(
                f"\a{num_dropped} of the last {num_ticks} frames were dropped: this computer is too busy; end other "
                "programs, or make the game's window smaller."
            )
        if tick.executed != NOTHING:
            self._done_at = tick.index
        elif self._done_at is not None and tick.index - self._done_at >= _IDLE_TICKS:
            self._done_at = None
            self._say(f"\anothing was pressed or moved for a minute: {self._key_pause} pauses the recording.")
        if tick.index % _LOOKED_AT == 0 and not self._is_disk_told:
            self._look_at_disk()

    def on_end(self, end: EpisodeEnd) -> None:
        """Nothing is left to say."""

    def _look_at_disk(self) -> None:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._out).free
            if free < _LEAST_BYTES:
                self._is_disk_told = True
                self._say(f"\aonly {free / 1e6:.0f} MB of disk are left in {self._out}: make space, or end soon.")
