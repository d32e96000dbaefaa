"""The listener through pynput's hooks: a person's input, without injected events.

Windows and macOS mark injected events. X11 does not: there they are recognised by their echo. Motion is known as
positions of the pointer only: a game that keeps putting the pointer back hides it, and injected motion looks like a
person's, so that on X11 motion does not count at all. Keys, buttons and the wheel always do.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from pynput import keyboard, mouse

from eyehand.action import PIXELS_PER_NOTCH
from eyehand.clock import Clock, SystemClock
from eyehand.desktop.portable.injector import BUTTON_OF, Echoes
from eyehand.desktop.portable.virtual_keys import key_of
from eyehand.errors import UserError
from eyehand.input_event import InputEvent

__all__ = ["PortableListener"]

_NAME_OF = {button: name for name, button in BUTTON_OF.items()}
_PATIENCE_S = 5.0
_HAS_MOTION = sys.platform != "linux"


class PortableListener:
    """Calls `hear` with every event of the person's, on threads of its own, until `close`.

    Args:
        hear: the callback.
        echoes: the injected events.
        clock: stamps the events.
    """

    def __init__(self, hear: Callable[[InputEvent], None], echoes: Echoes, clock: Clock | None = None) -> None:
        self._hear = hear
        self._echoes = echoes
        self._clock: Clock = clock or SystemClock()
        self._place: tuple[int, int] | None = None
        self._keyboard = keyboard.Listener(on_press=self._press, on_release=self._release)
        self._mouse = mouse.Listener(on_move=self._move, on_click=self._click, on_scroll=self._scroll)
        for listener in (self._keyboard, self._mouse):
            listener.start()
            listener.wait()

    def check(self) -> None:
        """Raise if the person is not heard any more.

        Raises:
            UserError: one of the hooks has ended.
        """
        if not (self._keyboard.is_alive() and self._mouse.is_alive()):
            raise UserError(
                "Your keyboard and mouse cannot be heard any more (their hook has ended), so that you could not take "
                "over: play again, or add --no-takeover."
            )

    def close(self) -> None:
        """Stop listening. May be called twice."""
        for listener in (self._keyboard, self._mouse):
            listener.stop()
            with contextlib.suppress(Exception):  # what a hook died of, on a desktop that is gone
                listener.join(_PATIENCE_S)

    def _press(self, key: Any, injected: bool) -> None:
        self._key(key, True, injected)

    def _release(self, key: Any, injected: bool) -> None:
        self._key(key, False, injected)

    def _key(self, key: Any, is_pressed: bool, injected: bool) -> None:
        code = getattr(key, "value", key)
        char = getattr(code, "char", None)
        name = key_of(getattr(code, "vk", None), char) or f"Key{getattr(code, 'vk', None) or char}"
        self._tell(InputEvent(self._clock.now_ns(), "key", name, is_pressed), injected)

    def _click(self, x: int, y: int, button: Any, is_pressed: bool, injected: bool) -> None:
        name = _NAME_OF.get(button, f"Button{getattr(button, 'value', button)}")
        self._tell(InputEvent(self._clock.now_ns(), "button", name, is_pressed), injected)

    def _scroll(self, x: int, y: int, dx: int, dy: int, injected: bool) -> None:
        event = InputEvent(
            self._clock.now_ns(), "wheel", "", True, round(dx * PIXELS_PER_NOTCH), round(dy * PIXELS_PER_NOTCH)
        )
        self._tell(event, injected)

    def _move(self, x: int, y: int, injected: bool) -> None:
        before, self._place = self._place, (x, y)
        if _HAS_MOTION and not injected and before is not None:
            dx, dy = round(x - before[0]), round(y - before[1])
            self._hear(InputEvent(self._clock.now_ns(), "mouse_delta", x=dx, y=dy))

    def _tell(self, event: InputEvent, injected: bool) -> None:
        # Under X11 the controller tells the listeners of its process too, as injected, beside the echo.
        if not (injected or self._echoes.is_ours(event.kind, event.name, event.is_pressed)):
            self._hear(event)
