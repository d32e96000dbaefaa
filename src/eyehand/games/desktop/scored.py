"""A desktop game that is played unattended, in episodes of a fixed length that are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eyehand.desktop.profile import Profile, parse_size
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import LaunchedDesktopGame
from eyehand.terminal import announce

__all__ = ["ScoredDesktopGame"]


class ScoredDesktopGame(LaunchedDesktopGame):
    """A launched game on a screen of its own, of the profile's size, whose episodes last as long as its score says.

    A game that ends earlier, for an agent can find the way out in its menus, ends the episode.

    Args:
        profile: with a score.
        say: told when the session pauses and goes on.

    Raises:
        UserError: at `reset`: as of `LaunchedDesktopGame`.
    """

    def __init__(self, profile: Profile, say: Callable[[str], None] = announce) -> None:
        assert profile.score is not None, "asked before: `GameFamily.unscored`"
        super().__init__(replace(profile, round_s=profile.score.seconds), parse_size(profile.launch.size), say=say)
        self._last: Frame | None = None
        self._has_ended = False

    def reset(self, seed: int) -> None:
        self._last, self._has_ended = None, False
        super().reset(seed)
        self._last = self.observe()

    def observe(self) -> Frame:
        """The newest picture; the last one again if the game has ended."""
        try:
            frame = super().observe()
        except UserError:
            if self._last is None:
                raise
            self._has_ended = True
            return self._last
        self._last = frame if self._last is not None else None
        return frame

    def outcome(self) -> Outcome:
        """Over when the time is, or the game has ended."""
        outcome = super().outcome()
        return replace(outcome, done=outcome.done or self._has_ended)
