"""Plays Doom demos with dsda-doom, without a screen: what happened in them, and their pictures tic by tic.

The game runs in a fresh folder with a configuration of ours: it reads no configuration, demo or WAD of the user's but
those it is given, and writes nothing elsewhere. It gets demos without their footer, which could name more files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.formats.doom.lmp import LmpDemo
from eyehand.temporary_folder import TemporaryFolder

__all__ = ["Replay", "Wads", "dsda_version", "pictures", "replay"]

_PATCHES = (".deh", ".bex")

_SILENCE_S = 300
"""Seconds without a picture or an end after which the game hangs; it draws one in milliseconds where a core is free."""

_WIDTH, _HEIGHT = 640, 480
"""Size in pixels of what it draws without a screen; it cannot be changed."""

_CONFIGURATION = """\
screen_resolution "640x480"
videomode "Software"
uncapped_framerate 0
dsda_fps_limit 0
render_vsync 0
screenblocks 10
show_messages 1
hudadd_demoprogressbar 0
hudadd_crosshair 0
dsda_exhud 0
dsda_show_level_splits 0
dsda_show_demo_attempts 0
render_wipescreen 1
cap_fps 35
cap_wipescreen 0
cap_videocommand "cat > /dev/fd/{fd}"
cap_soundcommand "cat > /dev/null"
cap_muxcommand "true"
"""

_GHOST = np.dtype(
    [
        *(("xyz", "<i4", 3), ("angle", "<u4")),
        *((name, "<i4") for name in ("sprite", "frame", "map", "episode", "tic")),
    ]
)
_FIRST_DEAD_FRAME = 7
_FRAME_BITS = 0x7FFF


@dataclass(frozen=True)
class Wads:
    """What a demo is played with: a game, and additions to it, which may be WADs and patches (.deh, .bex)."""

    iwad: Path
    files: tuple[Path, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """All files."""
        return (self.iwad, *self.files)

    @property
    def wads(self) -> tuple[Path, ...]:
        """All that are WADs; what is in a later one counts."""
        return tuple(path for path in self.all if path.suffix.lower() not in _PATCHES)

    @property
    def arguments(self) -> list[str]:
        """How every Doom is told of them."""
        additions = self.wads[1:]
        patches = [path for path in self.files if path not in additions]
        arguments = ["-iwad", str(self.iwad.resolve())]
        for option, paths in (("-file", additions), ("-deh", patches)):
            arguments += [option, *(str(path.resolve()) for path in paths)] if paths else []
        return arguments


@dataclass(frozen=True)
class Replay:
    """What happened in a demo, P players long.

    Attributes:
        first_tic: the tic that row 0 is about.
        xy_TP2: float64 map units, where each player was before the command of each tic.
        angle_TP: float64 radians, where they looked, counted from east to the left.
        is_dead_TP: bool.
        levels_T: episode and map, int32 (T, 2).
        exits: of every level that was finished, what the game says of it.
    """

    first_tic: int
    xy_TP2: NDArray[np.float64]
    angle_TP: NDArray[np.float64]
    is_dead_TP: NDArray[np.bool_]
    levels_T: NDArray[np.int32]
    exits: tuple[str, ...]

    @property
    def num_deaths(self) -> NDArray[np.int64]:
        """How often each player died, int64 (P,)."""
        dying = self.is_dead_TP[1:] & ~self.is_dead_TP[:-1]
        deaths: NDArray[np.int64] = dying.sum(axis=0, dtype=np.int64)
        return deaths


def replay(demo: LmpDemo, wads: Wads) -> Replay:
    """Play a demo as fast as can be.

    Raises:
        UserError: dsda-doom is not installed, cannot play the demo with these WADs, or does not play it to its end.
    """
    with _folder(demo) as folder:
        arguments = ["-fastdemo", "demo.lmp", *demo.options, "-nodraw", "-levelstat", "-export_ghost", "ghost"]
        with open(folder / "said", "wb") as said:
            process = _start(arguments, wads, folder, said.fileno())
            with _ended(process):
                try:
                    status = process.wait(_SILENCE_S)
                except subprocess.TimeoutExpired as error:
                    raise UserError(f"dsda-doom hangs while it plays {demo.name}: leave that demo out.") from error
        text = (folder / "said").read_text("utf-8", "replace")
        timed = re.search(r"Timed (\d+) gametics", text)
        if status or timed is None:
            raise UserError(f"{demo.name} cannot be played with {_names(wads)} (dsda-doom: {_complaint(text)}).")
        if int(timed[1]) != demo.num_tics:
            raise UserError(f"{demo.name}: dsda-doom played {timed[1]} of {demo.num_tics} tics: leave that demo out.")
        statistics = folder / "levelstat.txt"
        exits = tuple(statistics.read_text("utf-8", "replace").splitlines()) if statistics.exists() else ()
        return _from_ghosts((folder / "ghost.gst").read_bytes(), exits, demo)


def pictures(demo: LmpDemo, wads: Wads, player: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a player, uint8 RGB (480, 640, 3): one after each tic, with what its commands did.

    Raises:
        UserError: as `replay` does.
    """
    ours, theirs = os.pipe()
    with _folder(demo) as folder, open(ours, "rb", buffering=0) as pipe:
        try:
            (folder / "dsda.cfg").write_text(_CONFIGURATION.format(fd=theirs), "ascii")
            with contextlib.suppress(OSError, AttributeError):  # only faster
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 1 << 20)
            arguments = ["-timedemo", "demo.lmp", *demo.options, "-viddump", "unused", "-consoleplayer", str(player)]
            arguments.append("-window")
            with open(folder / "said", "wb") as said:
                process = _start(arguments, wads, folder, said.fileno(), theirs)
        finally:
            os.close(theirs)
        with _ended(process):
            number = 0
            while True:
                pixels_HWC = np.empty((_HEIGHT, _WIDTH, 3), np.uint8)
                if not _fill(pipe.fileno(), pixels_HWC.reshape(-1).data, demo):
                    break
                number += 1
                yield pixels_HWC
            process.wait(_SILENCE_S)
        if number != demo.num_tics:
            complaint = _complaint((folder / "said").read_text("utf-8", "replace"))
            raise UserError(
                f"{demo.name}: dsda-doom drew {number} pictures of {demo.num_tics} tics ({complaint}): leave it out."
            )


def dsda_version() -> str:
    """The version of the dsda-doom that is installed, such as `dsda-doom 0.25.6`.

    Raises:
        UserError: it is not installed.
    """
    with TemporaryFolder("dsda") as folder:
        said = subprocess.run(
            [_program(), "-help"], cwd=folder, env=_environment(folder), capture_output=True, check=False
        )
    found = re.search(rb"dsda-doom v(\S+)", said.stdout + said.stderr)
    return f"dsda-doom {found[1].decode()}" if found else "dsda-doom"


def _from_ghosts(data: bytes, exits: tuple[str, ...], demo: LmpDemo) -> Replay:
    """The trace that dsda-doom writes of every player: version, number of players, then an entry for each tic."""
    num_players = len(demo.players)
    rows = len(data[8:]) // (_GHOST.itemsize * num_players)
    if rows == 0:
        raise UserError(f"{demo.name} is too short: leave it out.")
    ghosts = np.frombuffer(data, _GHOST, rows * num_players, offset=8).reshape(rows, num_players)
    return Replay(
        first_tic=int(ghosts["tic"][0, 0]),
        xy_TP2=ghosts["xyz"][..., :2] / 65536,
        angle_TP=ghosts["angle"] * (2 * np.pi / 2**32),
        is_dead_TP=(ghosts["frame"] & _FRAME_BITS) >= _FIRST_DEAD_FRAME,
        levels_T=np.stack([ghosts["episode"][:, 0], ghosts["map"][:, 0]], axis=1),
        exits=exits,
    )


def _program() -> str:
    found = shutil.which("dsda-doom") or shutil.which("dsda-doom", path="/usr/games:/usr/local/games")
    if found is None:
        raise UserError(
            "Doom demos are played by dsda-doom: install it (`apt install dsda-doom`, or dsda-doom's page)."
        )
    return found


def _environment(folder: Path) -> dict[str, str]:
    """No screen, no sound, nobody's configuration."""
    quiet = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "XDG_RUNTIME_DIR": str(folder)}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOOMWAD", "XDG_", "SDL_"))}
    return {**kept, **quiet, "HOME": str(folder)}


@contextlib.contextmanager
def _folder(demo: LmpDemo) -> Iterator[Path]:
    with TemporaryFolder("dsda") as folder:
        (folder / "demo.lmp").write_bytes(demo.data)
        yield folder


def _start(
    arguments: list[str], wads: Wads, folder: Path, said_fd: int, pass_fd: int | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [_program(), "-config", "dsda.cfg", *wads.arguments, *arguments, "-nosound"],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=said_fd,
        stderr=said_fd,
        pass_fds=() if pass_fd is None else (pass_fd,),
        start_new_session=True,
    )


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """However this is left, the game and what it started are gone afterwards."""
    try:
        yield
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _fill(pipe_fd: int, memory: memoryview, demo: LmpDemo) -> bool:
    """Fill the memory from the pipe; False: it ended instead."""
    done = 0
    while done < len(memory):
        if not select.select([pipe_fd], [], [], _SILENCE_S)[0]:
            raise UserError(f"dsda-doom hangs while it plays {demo.name}: leave that demo out.")
        num_bytes = os.readv(pipe_fd, [memory[done:]])
        if num_bytes == 0:
            return False
        done += num_bytes
    return True


def _complaint(text: str) -> str:
    """What the game said last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def _names(wads: Wads) -> str:
    return " and ".join(path.name for path in wads.all)
