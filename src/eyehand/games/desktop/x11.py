"""A desktop window as a Game: any program under X11, in real time, through its screen, keyboard and mouse.

`WindowGame` plays a window that is there already; `LaunchedDesktopGame` starts a game from its profile, on the person's
screen or on one of its own. What both share is in `game`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.clock import FPS
from eyehand.desktop.profile import Profile, Step, parse_size
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.launch import LaunchedGame
from eyehand.desktop.x11.listener import Listener
from eyehand.desktop.x11.played_window import PlayedWindow
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, WindowState, find_window, pick_window
from eyehand.errors import GameEnded, UserError
from eyehand.frame import picture_change
from eyehand.games.desktop.game import LOOK_S, DesktopGame
from eyehand.games.desktop.score import Look, ScoreWatch, lines_number, screen_number
from eyehand.games.desktop.tasks import profile_task, window_task
from eyehand.input_event import InputEvent
from eyehand.terminal import announce

__all__ = ["DesktopGame", "LaunchedDesktopGame", "WindowGame", "X11Game"]

_PLAIN = 6.0
"""A picture whose brightness spreads less than this (standard deviation, of 255) shows nothing yet."""

_ANOTHER_PICTURE = 8.0

_LAST_MOMENT_S = 1.0
"""A game whose window is gone has this long to end."""


class X11Game(DesktopGame):
    """A desktop game on an X display."""

    window: PlayedWindow | None

    def act(self, action: Action) -> Action | None:
        """Hold and do this from now on, as far as the window can have it: see `Injector.done`."""
        super().act(action)
        return None if self.window is None else self.window.injector.done

    def listen(self, hear: Callable[[InputEvent], None]) -> Listener:
        """Call `hear` with every event of the display's keyboards and mice, until the result is closed."""
        if self.window is None:
            raise RuntimeError("call reset() before anything else")
        listener = Listener(self.window.display.name, self.window.authority, clock=self.clock)
        listener.subscribe(hear)
        return listener.start()


class WindowGame(X11Game):
    """A window that is there already, on the person's screen.

    Args:
        query: which one.
        display: as in DISPLAY; None: the environment's.
        authority: file that lets into it; None: the environment's.
        say: told when the session pauses and goes on.

    Raises:
        UserError: at `reset`: no display, no such window, or several.
    """

    def __init__(
        self,
        query: WindowQuery,
        display: str | None = None,
        authority: str | None = None,
        say: Callable[[str], None] = announce,
    ) -> None:
        super().__init__(window_task(query), say=say)
        self._query = query
        self._display = display
        self._authority = authority
        self._guard: Guard | None = None

    def reset(self, seed: int) -> None:
        """Find the window (again, if it was closed)."""
        if self.window is None or self.window.watch.state() is WindowState.GONE:
            super().close()
            display = XDisplay.open(self._display, self._authority)
            try:
                if self._query.by_click:
                    self.say("click into the window that is to be played.")
                    self._query = WindowQuery(id=pick_window(display, self.clock))
                found = find_window(display, self._query)
                self._guard = self._guard or Guard()
                self.window = PlayedWindow(display, found.id, self._guard, authority=self._authority, clock=self.clock)
            except BaseException:
                display.close()
                raise
        self.begin()

    def close(self) -> None:
        super().close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None


class LaunchedDesktopGame(X11Game):
    """A game that is started from its profile.

    Args:
        profile: how.
        own_screen_px: width and height of a screen of its own; None: it appears on the person's.
        visible: show its own screen in a window on the person's.
        say: told when the session pauses and goes on.

    Attributes:
        is_rated: a person's thumbs are its score, see `play.shared_game`.

    Raises:
        UserError: at `reset`: it is not installed, does not start, or never gets ready.
    """

    def __init__(
        self,
        profile: Profile,
        own_screen_px: tuple[int, int] | None = None,
        *,
        visible: bool = False,
        say: Callable[[str], None] = announce,
    ) -> None:
        super().__init__(profile_task(profile), say=say)
        self.profile = profile
        self.is_rated = profile.score is not None and profile.score.thumbs
        self.own_screen_px = own_screen_px
        self._is_visible = visible
        self._guard: Guard | None = None
        self.screen: OwnScreen | None = None
        self._game: LaunchedGame | None = None
        self._may_renew_until_s = 0.0

    def reset(self, seed: int) -> None:
        """Start the game afresh and go through its menus, up to the point where there is something to play."""
        self._end_game()
        look = self._screen_number()  # its examples are looked at before anything starts
        self._guard = self._guard or Guard()
        if self.own_screen_px is not None and self.screen is None:
            self.screen = OwnScreen(self.own_screen_px, self._guard, visible=self._is_visible)
        display = self._open_display()
        display.close()
        environment = self.screen.environment if self.screen else {"DISPLAY": display.name}
        self._game = LaunchedGame(self.profile, environment, self.own_screen_px, self._guard)
        self._may_renew_until_s = time.monotonic() + 2 * self.profile.timeout_s
        self._open_window(self._game)
        self._wait_until(lambda picture: float(picture.std()) > _PLAIN, "a picture")
        ready = self.profile.ready_output
        if ready is not None:
            game = self._game
            self._wait_until(lambda _: game.has_printed(ready), f"{ready!r} in its output")
        for step in self.profile.start:
            self.perform(step)
        if (score := self.profile.score) is not None:
            if score.line is not None:
                look = lines_number(score.line, self._game.written(score.file))
            self._score = None if look is None else ScoreWatch(score, look)
        self.begin()
        self._may_renew_until_s = 0.0

    def perform(self, step: Step) -> None:
        """Do one step of a profile: hold, release, wait."""
        before = self.observe().pixels
        self.act(step.action)
        self._pass(step.hold_s, step.action.held())
        self.act(NOTHING)
        if step.until_change:
            self._wait_until(lambda picture: picture_change(before, picture) > _ANOTHER_PICTURE, "another picture")
        self._pass(step.wait_s, NOTHING)

    def check_alive(self, state: WindowState) -> None:
        game = self._game
        if game is not None and (state is WindowState.GONE or not game.is_running):
            if game.ends_within(_LAST_MOMENT_S):  # its last words come after its window is gone
                if game.has_failed or self._may_renew_until_s:
                    raise UserError(f"{self.profile.name} has ended ({game.last_words()}): everything is released.")
                raise GameEnded(f"{self.profile.name} has ended: everything is released.")
            if time.monotonic() > self._may_renew_until_s:
                raise GameEnded(f"{self.profile.name} has closed its window: everything is released.")
            # It begins. Games that use SDL make a window, find out how to draw, and may then make it anew.
            super().close()
            return self._open_window(game)
        return super().check_alive(state)

    def close(self) -> None:
        self._end_game()
        if self.screen is not None:
            self.screen.close()
            self.screen = None
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _screen_number(self) -> Look | None:
        """The reader of the number on the screen; None: the score is not there."""
        if (score := self.profile.score) is None or score.screen is None:
            return None
        try:
            return screen_number(score.screen, parse_size(self.profile.launch.size))
        except UserError as error:
            raise UserError(f"The score of {self.profile.name} cannot be read: {error}.") from error

    def _open_display(self) -> XDisplay:
        if self.screen is not None:
            return XDisplay.open(self.screen.name, self.screen.authority)
        return XDisplay.open()

    def _end_game(self) -> None:
        super().close()
        if self._game is not None:
            self._game.close()
            self._game = None

    def _open_window(self, game: LaunchedGame) -> None:
        """Wait for the game's window, to play it."""
        assert self._guard is not None, "it began with the round"
        display = self._open_display()
        try:
            self.window = PlayedWindow(
                *(display, game.wait_for_window(display).id, self._guard),
                authority=self.screen.authority if self.screen else None,
                is_own_screen=self.screen is not None,
                clock=self.clock,
            )
        except BaseException:
            display.close()
            raise

    def _pass(self, seconds: float, held: Action) -> None:
        """Hold an Action for this time, repeated every tick, or the watchdog would release it."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.act(held)
            time.sleep(min(left_s, 1 / FPS))

    def _wait_until(self, is_there: Callable[[NDArray[np.uint8]], bool], what: str) -> None:
        deadline_s = time.monotonic() + self.profile.timeout_s
        while not is_there(self.observe().pixels):
            if time.monotonic() > deadline_s:
                raise UserError(
                    f"{self.profile.name} showed no sign of {what} within {self.profile.timeout_s:g} s: "
                    f"raise timeout_s in its profile, or look at it with `eyehand games check {self.profile.name}`."
                )
            time.sleep(LOOK_S)
