"""Counter-Strike behavioural cloning data (Pearce and Zhu, arXiv 2104.04258): `CsgoImporter` reads its .hdf5 files.

Layout: github.com/TeaPearce/Counter-Strike_Behavioural_Cloning, "Structure of .hdf5 files". A file holds 1,000 pictures
of 16 a second as `frame_i_x` (BGR) with what was done on each as `frame_i_y`: 11 keys, 2 buttons, and one-hot mouse
motion in 23 and 15 bins; `frame_i_helperarr` says kill and death. Nothing else of the file is read.

From 16 to 20 a second: a tick shows the newest picture at its time and holds what was held then, so that every press
and every release survives (each of the 16 states covers at least one tick). Motion is taken to be even within a
sixteenth of a second; its sum is kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.formats.found_files import file_digest, files_named, found_file
from eyehand.formats.importing import ImportedFrame, Take, recording_id
from eyehand.formats.motion import WholePixels
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.writer import new_info

__all__ = ["CSGO_FPS", "KEYS_OF_Y", "MOUSE_X_PX", "MOUSE_Y_PX", "CsgoImporter"]

CSGO_FPS = 16.0
"""Pictures a second of the published files."""

KEYS_OF_Y = ("w", "a", "s", "d", "Space", "LeftControl", "LeftShift", "1", "2", "3", "r")
MOUSE_X_PX = (
    *(-1000, -500, -300, -200, -100, -60, -30, -20, -10, -4, -2, 0),
    *(2, 4, 10, 20, 30, 60, 100, 200, 300, 500, 1000),
)
MOUSE_Y_PX = (-200, -100, -50, -20, -10, -4, -2, 0, 2, 4, 10, 20, 50, 100, 200)
"""The slots of `frame_i_y`, in order, with the left and right button between the keys and the mouse."""

_NUM_HELD = len(KEYS_OF_Y) + 2
_LENGTH_OF_Y = _NUM_HELD + len(MOUSE_X_PX) + len(MOUSE_Y_PX)

_MAX_SIZE = 100_000_000
_MAX_ACTION_SIZE = 10_000

_NAME = re.compile(r"(?:hdf5_)?(?P<mode>aim|dm)_(?:(?P<map>mirage|inferno|nuke)_)?")


class CsgoImporter:
    """Reads .hdf5 files.

    Args:
        paths: folders that hold .hdf5 files at any depth, or .hdf5 files.
        fps: pictures a second in them, for files that were recorded at another rate than the published ones; at most
            20, since faster ones would lose presses.

    Raises:
        UserError: the package h5py is missing, or the rate cannot be imported.
    """

    format = "csgo"
    losses = (
        "Lost: the previous actions, health, ammunition and team of frame_i_xaux.",
        "Lost: raw events; most files were recorded from other players, whose keys and mouse the authors inferred from "
        "how they moved (files named expert hold clean ones).",
        "Changed: mouse motion is the middle of the bin that it was rounded to: 23 values across, 15 up and down.",
        "Changed: 16 pictures a second become 20: one in four is shown twice, and motion is spread evenly over time.",
    )

    def __init__(self, paths: Iterable[Path], fps: float = CSGO_FPS) -> None:
        try:
            import h5py  # noqa: F401  # asked for here, so that the sentence is one
        except ImportError as error:
            raise UserError("Importing CS:GO needs the package h5py: run `pip install 'eyehand[exchange]'`.") from error
        if not 0 < fps <= FPS:
            raise UserError(f"Files of {fps:g} pictures a second cannot be imported: more than 0 and at most 20 can.")
        self._paths = tuple(paths)
        self._fps = fps

    def sources(self) -> Sequence[str]:
        return files_named(self._paths, ".hdf5", "files of the Counter-Strike data set, or a folder of them")

    def takes(self, source: str) -> Iterator[Take]:
        import h5py

        path = found_file(Path(source), self._paths)
        digest = file_digest(path)
        try:
            file = h5py.File(path, "r", locking=False)  # some file systems have no locks, and reading needs none
        except OSError as error:
            raise UserError(
                f"{path} is no .hdf5 file, or its end is missing: fetch it again or leave it out."
            ) from error
        with file:
            num_pictures = _count(file, path)
            name = _NAME.match(path.name)
            mode, level = (name["mode"], name["map"] or "dust2") if name else ("", "")
            info = new_info(
                "csgo",
                "aim" if mode == "aim" else f"{mode}_{level}".strip("_"),
                FPS,
                id=recording_id(self.format, path.name, digest, f"{self._fps:g}"),
                user="expert" if "expert" in path.name else "spectated",
                created_s=0,
                os="Windows",
            )
            outcome: dict[str, float] = {}
            yield Take(info, self._moments(file, path, num_pictures, outcome), outcome)

    def _moments(self, file: Any, path: Path, num_pictures: int, outcome: dict[str, float]) -> Iterator[ImportedFrame]:
        done = [_action_of(_read(file, f"frame_{index}_y", path), path, index) for index in range(num_pictures)]
        events_TE = np.array(
            [_read(file, f"frame_{index}_helperarr", path).ravel()[:2] for index in range(num_pictures)]
        )
        outcome.update(zip(("kills", "deaths"), map(float, events_TE.sum(axis=0)), strict=False))
        way_TX = np.cumsum([(0.0, 0.0), *((dx, dy) for _, dx, dy in done)], axis=0)  # of the mouse, until each picture
        whole = WholePixels()
        executed: Decision | None = None
        shown, pixels = -1, np.zeros((0, 0, 3), np.uint8)
        pictures_per_tick = Fraction(self._fps) / Fraction(FPS)
        for tick in range(math.ceil(num_pictures / pictures_per_tick)):
            begin = tick * pictures_per_tick
            if shown != math.floor(begin):
                shown = math.floor(begin)
                pixels = np.ascontiguousarray(_read(file, f"frame_{shown}_x", path)[..., ::-1])  # BGR
            yield ImportedFrame(Frame(pixels, round(tick * SECOND_NS / FPS), tick), executed)
            moved_X = _at(way_TX, begin + pictures_per_tick) - _at(way_TX, begin)
            dx, dy = whole.step(float(moved_X[0]), float(moved_X[1]))
            executed = Decision(replace(done[shown][0], dx=dx, dy=dy), by_user=True)


def _at(way_TX: NDArray[np.float64], position: Fraction) -> NDArray[np.float64]:
    """How far the mouse has come at this position among the pictures, which may lie between two."""
    if position >= len(way_TX) - 1:
        return np.asarray(way_TX[-1])
    before = math.floor(position)
    here_X, next_X = way_TX[before], way_TX[before + 1]
    return np.asarray(here_X + float(position - before) * (next_X - here_X))


def _action_of(y: NDArray[Any], path: Path, index: int) -> tuple[Action, int, int]:
    """What was held on a picture, and the mouse motion in pixels."""
    if y.shape != (_LENGTH_OF_Y,):
        raise UserError(
            f"{path}: frame_{index}_y has the shape {y.shape} and should have ({_LENGTH_OF_Y},): see the docs."
        )
    held, across, down = y[:_NUM_HELD] > 0.5, y[_NUM_HELD : -len(MOUSE_Y_PX)], y[-len(MOUSE_Y_PX) :]
    if across.sum() != 1 or down.sum() != 1:
        raise UserError(f"{path}: frame_{index}_y says no single mouse motion: this is no file of the data set.")
    keys = frozenset(key for key, is_held in zip(KEYS_OF_Y, held, strict=False) if is_held)
    buttons = frozenset(str(n) for n in range(2) if held[len(KEYS_OF_Y) + n])
    return Action(keys, buttons), MOUSE_X_PX[int(across.argmax())], MOUSE_Y_PX[int(down.argmax())]


def _count(file: Any, path: Path) -> int:
    """How many pictures there are, numbered without a gap."""
    numbers = {int(found[1]) for name in file if (found := re.fullmatch(r"frame_(\d+)_x", name))}
    if not numbers:
        raise UserError(f"{path} holds no frame_0_x: this is no file of the Counter-Strike data set.")
    if len(numbers) != max(numbers) + 1:
        missing = next(number for number in count() if number not in numbers)
        raise UserError(f"{path} lacks frame_{missing}_x though later ones are there: fetch it again or leave it out.")
    return len(numbers)


def _read(file: Any, name: str, path: Path) -> NDArray[Any]:
    """An array of the file itself: links could name any file of this machine, so they are not followed."""
    import h5py

    try:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise UserError(f"{path} lacks {name}, or has it elsewhere: fetch the file again or leave it out.")
        data = file[name]
        is_picture = name.endswith("_x")
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise UserError(f"{path}: {name} is no array of this file: this is no file of the Counter-Strike data set.")
        if data.dtype.kind not in "uifb" or (
            is_picture and (data.ndim != 3 or data.shape[2] != 3 or data.dtype != "u1")
        ):
            raise UserError(
                f"{path}: {name} is no picture or no action: this is no file of the Counter-Strike data set."
            )
        if data.size > (_MAX_SIZE if is_picture else _MAX_ACTION_SIZE):
            raise UserError(f"{path}: {name} has {data.size} numbers, more than it can need: the file is damaged.")
        array: NDArray[Any] = data[()]
    except (OSError, KeyError, ValueError, RuntimeError) as error:  # HDF5 raises any of these on damage
        raise UserError(
            f"{path} is damaged or cut off ({name} cannot be read): fetch it again or leave it out."
        ) from error
    return array
