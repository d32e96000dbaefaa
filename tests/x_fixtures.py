"""A real X server of our own, and small real windows on it. Everything here is skipped where Xvfb is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from programs import need, need_xcb

if TYPE_CHECKING:
    from eyehand.desktop.x11.display import XDisplay
    from eyehand.desktop.x11.guard import Guard
    from eyehand.desktop.x11.screen import OwnScreen
    from x_window import Window


class _Module(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        need_xcb()
        return super().collect()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Without the library the modules of these folders cannot even be imported: they are skipped, with the reason."""
    return _Module.from_parent(parent, path=module_path)


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    from eyehand.desktop.x11.guard import Guard

    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture(scope="module")
def screen(guard: Guard) -> Iterator[OwnScreen]:
    need("Xvfb")
    from eyehand.desktop.x11.screen import OwnScreen

    screen = OwnScreen((640, 480), guard)
    yield screen
    screen.close()


@pytest.fixture
def display(screen: OwnScreen) -> Iterator[XDisplay]:
    from eyehand.desktop.x11.display import XDisplay

    display = XDisplay.open(screen.name, screen.authority)
    yield display
    display.close()


@pytest.fixture
def window(screen: OwnScreen) -> Iterator[Window]:
    from x_window import Window

    window = Window(screen, "Freedoom: Phase 2")
    window.focus()
    yield window
    window.close()


@pytest.fixture
def open_window(screen: OwnScreen) -> Iterator[Callable[..., Window]]:
    from x_window import Window

    opened: list[Window] = []

    def open_it(*arguments: Any, **options: Any) -> Window:
        opened.append(Window(screen, *arguments, **options))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()
