"""A person and an agent in one game, joined over the network of this machine.

The person's game is on their screen and belongs to them; what the agent plays is a `LaunchedDesktopGame` on a screen of
its own, which joins it. When the person leaves, the episode is over.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from eyehand.desktop.profile import Profile, Together
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.launch import LaunchedGame
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import LaunchedDesktopGame
from eyehand.terminal import announce

__all__ = ["TogetherGame"]

_NO_LIMIT_S = 1e9
_LAST_MOMENT_S = 1.0


class TogetherGame(LaunchedDesktopGame):
    """The agent's side of a game for two.

    Args:
        profile: of the game; it must say how it is played together.
        mode: which of the profile's modes; None: the first.
        own_screen_px: size of the agent's screen.
        size_px: of the person's window; None: as the profile says.
        display, authority: where the person plays; None: the environment's.
        visible: show the agent's screen in a window on the person's.
        say: told what happens.

    Raises:
        UserError: the game is not for two, or has no such mode. At `reset`: one of the two does not start.
    """

    def __init__(
        self,
        profile: Profile,
        mode: str | None,
        own_screen_px: tuple[int, int],
        *,
        size_px: tuple[int, int] | None = None,
        display: str | None = None,
        authority: str | None = None,
        visible: bool = False,
        say: Callable[[str], None] = announce,
    ) -> None:
        together = profile.together
        if together is None:
            raise UserError(f"{profile.name} does not say how two play it: its profile has no section [together].")
        self.mode = mode or next(iter(together.modes))
        if self.mode not in together.modes:
            raise UserError(f"{profile.name} has no mode {self.mode!r}: choose {' or '.join(together.modes)}.")
        port = _free_port()
        joining = _with_arguments(_without(profile, together.without), together, together.join, port)
        super().__init__(replace(joining, round_s=_NO_LIMIT_S, score=None), own_screen_px, visible=visible, say=say)
        if self.mode in together.instructions:
            self.task = replace(self.task, instructions=(together.instructions[self.mode], *profile.instructions))
        self._hosting = _with_arguments(profile, together, together.host + together.modes[self.mode], port)
        self._size_px, self._display, self._authority = size_px, display, authority
        self._persons: LaunchedGame | None = None
        self._last: Frame | None = None

    def check_display(self) -> None:
        """Raise UserError where there is no screen for the person's game."""
        if not (self._display or os.environ.get("DISPLAY")):
            raise UserError("Your own game needs a display, and there is none (DISPLAY is not set): start X first.")

    @property
    def has_ended(self) -> bool:
        """Whether the person has left the game."""
        return self._persons is not None and not self._persons.is_running

    def reset(self, seed: int) -> None:
        """Start the person's game, which waits, then the agent's, which joins it."""
        self._end_persons()
        self._guard = self._guard or Guard()
        display = XDisplay.open(self._display, self._authority)
        display.close()
        environment = {"DISPLAY": display.name}
        if self._authority is not None:
            environment["XAUTHORITY"] = self._authority
        self._persons = LaunchedGame(self._hosting, environment, self._size_px, self._guard)
        self.say(f"your game ({self.mode}) opens on your screen, and begins when the agent has joined it.")
        try:
            super().reset(seed)
        except UserError as error:
            if self._has_left():
                said = self._persons.last_words()
                raise UserError(f"Your {self.profile.name} ended before the agent could join it ({said}).") from error
            raise

    def observe(self) -> Frame:
        """The newest picture; the last one again if the agent's game has ended with the person's."""
        try:
            self._last = super().observe()
        except UserError:
            if self._last is None or not self._has_left():
                raise
        return self._last

    def outcome(self) -> Outcome:
        """Over when the person has left."""
        return Outcome(done=self.has_ended)

    def close(self) -> None:
        guard, self._guard = self._guard, None  # the person's game has to end before its watchdog
        super().close()
        self._guard = guard
        self._end_persons()
        super().close()

    def _has_left(self) -> bool:
        """Whether the person has left, or does so within a moment: both games end at nearly the same time."""
        deadline_s = time.monotonic() + _LAST_MOMENT_S
        while not self.has_ended and time.monotonic() < deadline_s:
            time.sleep(0.02)
        return self.has_ended

    def _end_persons(self) -> None:
        if self._persons is not None:
            self._persons.close()
            self._persons = None


def _with_arguments(profile: Profile, together: Together, arguments: tuple[str, ...], port: int) -> Profile:
    """The profile with more arguments, and with the window that is played in a game for two."""
    filled = tuple(argument.replace("{port}", str(port)) for argument in arguments)
    launch = replace(profile.launch, command=profile.launch.command + filled)
    return replace(profile, launch=launch, window_title=together.window_title or profile.window_title)


def _without(profile: Profile, words: tuple[str, ...]) -> Profile:
    """The profile without these words of its command, which follow one another in it.

    Raises:
        UserError: they do not.
    """
    command = profile.launch.command
    if not words:
        return profile
    for start in range(len(command)):
        if command[start : start + len(words)] == words:
            shorter = command[:start] + command[start + len(words) :]
            return replace(profile, launch=replace(profile.launch, command=shorter))
    raise UserError(f"The profile {profile.name} has a mistake: together.without is not in its launch.command.")


def _free_port() -> int:
    """A UDP port of this machine that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
