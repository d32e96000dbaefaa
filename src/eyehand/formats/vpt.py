"""VPT contractor data (OpenAI, Minecraft): `VptImporter` reads pairs of NAME.mp4 and NAME.jsonl.

Layout: github.com/openai/Video-Pre-Training, "Data format". The video has 20 pictures a second, and line i of the
.jsonl is what was done on picture i. Three traps of the data are handled as the published loader does: the left button
that is stuck down from the beginning until it is really pressed, the hotbar slot that was changed by a wheel which was
not recorded, and the cursor that is missing in the pictures while a menu is open. A line whose mouse or keyboard is
null (older recorders) has no known action.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, PIXELS_PER_NOTCH, Action
from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.foreign import parse_json, read_regular
from eyehand.formats.cursor import draw_cursor
from eyehand.formats.foreign_video import pictures_of, stated_rate
from eyehand.formats.found_files import as_on_disk, file_digest, files_named, found_file
from eyehand.formats.importing import ImportedFrame, Take, laid_out, recording_id
from eyehand.formats.motion import WholePixels, plausible
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import MAX_FRAMES
from eyehand.recording.writer import new_info

__all__ = ["VptImporter", "key_of_minecraft"]

_SCREEN_LINES = 720
"""Height in pixels of the window that cursor positions refer to, whatever the size of the video."""

_MOST_BYTES = 512 << 20  # of a .jsonl; those of five minutes have 20 MB
_MOST_LINE_BYTES = 1 << 20

_KEYPAD = ("Add", "Subtract", "Multiply", "Divide", "Decimal")


def _name_in_minecraft(key: str) -> str:
    """`LeftShift` is `left.shift` there, `UpArrow` is `up`, `Add` is `keypad.add`."""
    dotted = re.sub(r"(?<=[a-z])(?=[A-Z])", ".", key).lower().removesuffix(".arrow")
    return f"keypad.{dotted}" if key in _KEYPAD else dotted


_NAMES = {_name_in_minecraft(key): key for key in KEYS} | {"keypad.enter": "Enter"}


def key_of_minecraft(name: str) -> str | None:
    """Our name of a key that Minecraft calls `key.keyboard.left.shift`; None: it has none."""
    return _NAMES.get(name.removeprefix("key.keyboard."))


class VptImporter:
    """Reads pairs of .mp4 and .jsonl.

    Args:
        paths: folders that hold pairs at any depth, or .mp4 files.
    """

    format = "vpt"
    losses = (
        "Lost: what the game knows (position, inventory, statistics), and whether a menu was open.",
        "Lost: raw events; only what was held and moved in each tick is known, without the order within it.",
        "Lost: keys of the numeric pad's digits and keys that Minecraft calls unknown.",
        "Lost: what was done on the last picture.",
        "Changed: mouse motion is in the recorder's units (0.15 degrees each in play), rounded to whole ones with the "
        "rest carried on; in menus, recorders 5.7 to 6.9 used other units.",
        "Changed: a hotbar slot that changed by an unrecorded wheel is a tap of its key.",
        "Changed: the left button that is stuck down from the first tick on counts as up until it is pressed.",
        "Added: the cursor is drawn while a menu is open, in our own shape; times are those of an exact 20 Hz.",
    )

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)

    def sources(self) -> Sequence[str]:
        return files_named(self._paths, ".mp4", "VPT's NAME.mp4 beside NAME.jsonl, or a folder of such pairs")

    def takes(self, source: str) -> Iterator[Take]:
        video = found_file(Path(source), self._paths)
        lines = found_file(as_on_disk(video.with_suffix(".jsonl")), self._paths)
        rate = stated_rate(video)
        if abs(rate / FPS - 1) > 0.01:
            raise UserError(f"{video} has {rate:g} pictures a second and VPT's have 20: this is no VPT recording.")
        steps = _read_steps(lines)
        notes: list[str] = []
        info = new_info(
            "minecraft",
            "",
            FPS,
            id=recording_id(self.format, video.stem, file_digest(lines)),
            user="vpt-contractor",
            env_version=video.parent.name if video.parent.name.replace(".", "").isdigit() else "",
            created_s=_begun_s(lines, steps),
            os="",
        )
        yield Take(info, _moments(video, lines, steps, notes), notes=notes)


@dataclass
class _InputState:
    """Turns lines into Actions, one after another."""

    unknown_keys: Counter[str] = field(default_factory=Counter)
    num_stuck: int = 0
    _is_stuck: bool = False
    _slot: int | None = None
    _has_cause: bool = False
    _motion: WholePixels = field(default_factory=WholePixels)

    def act(self, step: dict[str, Any] | None, is_first: bool) -> Action | None:
        """What was done on this line; None: not known."""
        mouse, keyboard = (step or {}).get("mouse"), (step or {}).get("keyboard")
        if step is None or mouse is None or keyboard is None:
            return None
        pressed, held = mouse.get("newButtons") or [], set(mouse.get("buttons") or [])
        if is_first:
            self._is_stuck = pressed == [0]
        elif 0 in pressed:
            self._is_stuck = False
        if self._is_stuck and 0 in held:
            self.num_stuck += 1
            held.remove(0)
        dx, dy = self._motion.step(float(mouse["dx"]), float(mouse["dy"]))
        buttons = frozenset(str(button) for button in held if str(button) in BUTTONS)
        keys = self._keys(keyboard.get("keys") or []) | self._slot_key(step, mouse)
        wheel = float(mouse.get("dwheel") or 0) * PIXELS_PER_NOTCH
        plausible(wheel)
        return Action(keys, buttons, dx, dy, scroll_dy=round(wheel))

    def _keys(self, names: Iterable[str]) -> frozenset[str]:
        keys = set()
        for name in names:
            key = key_of_minecraft(name)
            if key is None:
                self.unknown_keys[name] += 1
            else:
                keys.add(key)
        return frozenset(keys)

    def _slot_key(self, step: dict[str, Any], mouse: dict[str, Any]) -> frozenset[str]:
        """The number key that stands for a wheel which was not recorded: the slot changed and nothing says why.

        The cause may be in the line before, since the game sees input a tick later.
        """
        slot = step.get("hotbar")
        wheel_turned = bool(mouse.get("dwheel"))
        numbers = {key for key in map(key_of_minecraft, step["keyboard"].get("keys") or []) if key and key.isdigit()}
        is_changed = isinstance(slot, int) and self._slot is not None and slot != self._slot
        is_explained = wheel_turned or self._has_cause or bool(numbers)
        self._has_cause = wheel_turned or bool(numbers)
        self._slot = slot if isinstance(slot, int) else self._slot
        if is_explained or not is_changed or self._slot is None:
            return frozenset()
        return frozenset({str(self._slot + 1)})


def _moments(video: Path, lines: Path, steps: Sequence[bytes], notes: list[str]) -> Iterator[ImportedFrame]:
    state = _InputState()
    executed: Decision | None = None
    num_unknown = num_pictures = 0
    for index, picture in enumerate(pictures_of(video)):
        num_pictures += 1
        if index >= len(steps):
            continue
        step = _step(lines, steps, index)
        with laid_out(f"{lines}, line {index + 1},", "VPT's"):
            pixels = _with_cursor(picture.pixels(), step)
            action = state.act(step, index == 0)
        yield ImportedFrame(Frame(pixels, round(index * SECOND_NS / FPS), index), executed)
        executed = None if action is None else Decision(action, by_user=True)
        num_unknown += action is None
    if num_pictures != len(steps):
        notes.append(f"{num_pictures} pictures and {len(steps)} lines of actions: the smaller number is used.")
    if state.num_stuck:
        notes.append(f"The left button was stuck down at the beginning: it counts as up for {state.num_stuck} ticks.")
    if num_unknown:
        notes.append(f"{num_unknown} lines without mouse or keyboard: what was done there is not known.")
    if state.unknown_keys:
        notes.append(
            "Keys without a name here: " + ", ".join(f"{k} ({n})" for k, n in sorted(state.unknown_keys.items()))
        )


def _with_cursor(pixels: NDArray[np.uint8], step: dict[str, Any] | None) -> NDArray[np.uint8]:
    mouse = (step or {}).get("mouse")
    if step is None or not isinstance(mouse, dict) or not step.get("isGuiOpen"):
        return pixels
    scale = pixels.shape[0] / _SCREEN_LINES
    return draw_cursor(pixels, int(mouse.get("x", 0) * scale), int(mouse.get("y", 0) * scale))


def _read_steps(path: Path) -> list[bytes]:
    """The lines, one for each step."""
    try:
        data = read_regular(path, _MOST_BYTES).rstrip()  # a blank last line is no action
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be read ({reason}): VPT's NAME.mp4 needs NAME.jsonl beside it.") from error
    if not data:
        raise UserError(f"{path} is empty: fetch it again or leave this recording out.")
    if data.count(b"\n") >= MAX_FRAMES:
        raise UserError(f"{path} holds more than {MAX_FRAMES:,} lines: leave this recording out.")
    return data.splitlines()


def _step(path: Path, lines: Sequence[bytes], index: int) -> dict[str, Any] | None:
    """What a line says; None where it is `null`."""
    line = lines[index]
    try:
        step = parse_json(line) if len(line) <= _MOST_LINE_BYTES else ()
    except ValueError as error:
        raise UserError(f"{path} is damaged or cut off (line {index + 1} is no JSON): fetch it again.") from error
    if step is not None and not isinstance(step, dict):
        raise UserError(f"{path}, line {index + 1}, is not laid out as VPT's actions are: give VPT's NAME.jsonl.")
    return step


def _begun_s(path: Path, lines: Sequence[bytes]) -> int:
    """Unix time of the first line that has one; 0: none has."""
    steps = (_step(path, lines, index) for index in range(len(lines)))
    times = (step["milli"] for step in steps if step and isinstance(step.get("milli"), int | float))
    return int(next(times, 0)) // 1000
