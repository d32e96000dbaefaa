"""The programs that tests start: `need` gives a program's path, or skips the test by the name of what to install.

No test can start one of these programs without it: that fails the test on machines that have the program too.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eyehand.errors import UserError

if TYPE_CHECKING:
    from eyehand.desktop.profile import Profile

__all__ = ["begin_test", "need", "need_game", "need_xcb", "small_disk"]

PACKAGES = {
    "Xephyr": "xserver-xephyr",
    "Xvfb": "xvfb",
    "chocolate-doom": "chocolate-doom",
    "chromium": "chromium",
    "dsda-doom": "dsda-doom",
    "g++": "g++",
    "git": "git",
    "mount": "mount",
    "openbox": "openbox",
    "ps": "procps",
    "strace": "strace",
    "umount": "mount",
    "unshare": "util-linux",
}
"""Program to Debian's package; games have it in their profiles."""

_GAME_FOLDERS = "/usr/games:/usr/local/games"

_asked: set[str] = set()


def need(*names: str, packages: tuple[str, ...] = ()) -> str:
    """The path of the first of these programs that is installed, or else the test is skipped.

    Args:
        packages: what to install; without them PACKAGES says it.
    """
    for name in names:
        if path := shutil.which(name) or shutil.which(name, path=_GAME_FOLDERS):
            _asked.add(name)
            return path
    pytest.skip(f"{names[0]} is not installed (apt install {' '.join(packages or [PACKAGES[names[0]]])})")


def need_game(name: str) -> Profile:
    """The profile of an installed desktop game. Skips the test where the game is not installed."""
    from eyehand.desktop.profile import load_profile

    profile = load_profile(name)
    need(profile.launch.command[0], packages=profile.packages)
    return profile


def need_xcb() -> None:
    """Skips the test where the library that speaks to X displays is not installed."""
    from eyehand.desktop import require_xcb

    try:
        require_xcb()
    except UserError as error:
        pytest.skip(str(error))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A new folder on a disk of its own in memory, of such a size as mount wants it ("64k"). Skips without root."""
    need("umount")
    folder.mkdir()
    command = [need("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def begin_test() -> None:
    """What was asked for until now was for another test."""
    _asked.clear()
    _watch()


@functools.cache
def _watch() -> None:
    sys.addaudithook(_refuse_what_nobody_asked_for)  # this cannot be undone


def _refuse_what_nobody_asked_for(event: str, arguments: tuple[object, ...]) -> None:
    if event != "subprocess.Popen":
        return
    program = Path(os.fsdecode(arguments[0]))  # type: ignore[arg-type]
    is_known = program.name in PACKAGES or str(program.parent) in _GAME_FOLDERS.split(":")
    if is_known and program.name not in _asked:
        raise AssertionError(f"This test starts {program.name}: it must call need({program.name!r}) first.")
