"""Doom demos as recordings: people's play with exact labels, drawn by dsda-doom, one recording per demo and player.

A demo lies in a WAD (as DEMO1, DEMO2, ...: then that WAD is what it plays with) or in a file of its own beside a game.
Frame i shows what came of all commands before tick i, and action i holds the commands of tick i: the first picture is
the one after tic 0, whose commands follow no picture. Demos that are not played as they were recorded are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from eyehand.clock import SECOND_NS
from eyehand.errors import UserError, unreadable
from eyehand.foreign import read_regular
from eyehand.formats.doom.dsda import Replay, Wads, dsda_version, pictures, replay
from eyehand.formats.doom.lmp import LmpDemo, parse_lmp
from eyehand.formats.doom.lmp_actions import DemoTick, ticks_of
from eyehand.formats.doom.sync import IN_STEP, Agreement, in_step
from eyehand.formats.found_files import file_digest
from eyehand.formats.importing import ImportedFrame, Take, recording_id
from eyehand.frame import Frame
from eyehand.games.doom.controls import TICKS_PER_SECOND, TICS_PER_SECOND
from eyehand.games.doom.wad import WadFile
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo

__all__ = ["INSTRUCTIONS", "DoomDemoImporter", "Part", "level_name"]

Part = Literal["all", "train", "test"]
"""`test` is the last demo of every WAD (of all files, where they are loose), `train` are the others."""


INSTRUCTIONS = {False: "fight your way through the level", True: "win the deathmatch against the other players"}
"""Instruction that a recording states, by whether its game is a deathmatch."""

_MOST_BYTES = 64 << 20  # of a demo: five days of one player

_MONSTERS = (7, 9, 16, 58, 64, 65, 66, 67, 68, 69, 71, 72, 84, 88, 89, 3001, 3002, 3003, 3004, 3005, 3006)
"""Numbers of the kinds of monsters in a level's THINGS (Doom's editor numbers)."""


@dataclass(frozen=True)
class _Source:
    """A demo that has not been read yet."""

    name: str
    wads: Wads
    path: Path
    lump: str | None
    is_last: bool


class DoomDemoImporter:
    """Imports demos.

    Args:
        paths: WADs that hold demos, and .lmp files.
        iwad: the game that .lmp files and additions (PWADs) are played with.
        files: additions to the game (PWADs, .deh and .bex patches), for .lmp files.
        part: which of the demos.
        instruction: stated in every recording; None: INSTRUCTIONS for this kind of game; empty: none is stated.
        anyway: import demos that seem to be recorded with other files all the same.
    """

    format = "doom-demos"
    losses = (
        "35 commands a second become 20 actions a second: keys and buttons are those held at the end of a tick or "
        "pressed in it, the motion of the mouse is the sum, and the events keep every command's time",
        "walking has two speeds; other speeds (of a mouse or a joystick) become the nearest one",
        "which device made a turn is not known: all turns become motion of the mouse",
    )

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        iwad: Path | None = None,
        files: Sequence[Path] = (),
        part: Part = "all",
        instruction: str | None = None,
        anyway: bool = False,
    ) -> None:
        self._paths = paths
        self._iwad = iwad
        self._files = tuple(files)
        self._part = part
        self._instruction = instruction
        self._anyway = anyway
        self._sources: dict[str, _Source] = {}
        self._bad: dict[str, UserError] = {}

    def sources(self) -> list[str]:
        """The demos, in the order of paths and lumps; of a path that holds none, the path, whose `takes` say why.

        Raises:
            UserError: there is no demo for this part.
        """
        self._bad = {}
        loose = [path for path in self._paths if path.suffix.lower() == ".lmp"]
        found: list[_Source] = []
        for path in self._paths:
            try:
                if path in loose:
                    found.append(_Source(str(path), self._wads((), path), path, None, path == loose[-1]))
                else:
                    found += self._in_wad(path)
            except UserError as error:
                self._bad[str(path)] = error
        wanted = [source for source in found if self._part in ("all", "test" if source.is_last else "train")]
        if not wanted and not self._bad:
            raise UserError(f"There is no demo for `--part {self._part}`: a WAD's last demo is its test part.")
        self._sources = {source.name: source for source in wanted}
        return [*self._sources, *self._bad]

    def takes(self, source: str) -> Iterator[Take]:
        """One take for each player.

        Raises:
            UserError: the demo is damaged, is for other WADs or another version of Doom, or cannot be played.
        """
        if source in self._bad:
            raise self._bad[source]
        origin = self._sources[source]
        demo = self._parse(origin)
        level = _level(demo, origin.wads)
        doubts = [self._checked(_doubt_of_files(demo, level, origin))]
        played = replay(demo, origin.wads)
        agreement = in_step(demo, played)
        doubts.append(self._checked(_doubt_of_walk(demo, played, agreement, origin)))
        options = re.sub(r"-complevel \d+", "", " ".join(demo.options)).split()  # that is what the version says
        instruction = INSTRUCTIONS[demo.is_deathmatch] if self._instruction is None else self._instruction or None
        digests = [file_digest(path) for path in origin.wads.all]
        for row, player in enumerate(demo.players):
            info = RecordingInfo(
                id=recording_id(self.format, *digests, demo.data.hex(), *options, f"{player} {instruction}"),
                env="doom-demos",
                env_subtype=f"{origin.wads.wads[-1].stem.lower()}-{level.lower()}",
                env_version=dsda_version(),
                fps=float(TICKS_PER_SECOND),
                user="human",
                tasks=() if instruction is None else (instruction,),
            )
            outcome = {
                "seconds": demo.num_tics / TICS_PER_SECOND,
                "players": float(len(demo.players)),
                "player": float(player),
                "skill": float(demo.skill),
                "deathmatch": float(demo.is_deathmatch),
                "deaths": float(played.num_deaths[row]),
                "exits": float(len(played.exits)),
                "in_step": agreement.share,
            }
            walk = f"{source}, player {player}: goes where it is told in {agreement.share:.1%} of the time"
            if agreement.num_stuck:
                walk += f" ({agreement.num_stuck} of {agreement.num_told} tics do not count: dead, or against a wall)"
            notes = (walk, *filter(None, doubts))
            yield Take(info, self._moments(demo, origin.wads, row, instruction), outcome, notes)

    def _moments(self, demo: LmpDemo, wads: Wads, row: int, instruction: str | None) -> Iterator[ImportedFrame]:
        """One player's ticks; the pictures are drawn to the end, so that a replay that breaks off is noticed."""
        ticks = ticks_of(demo.commands_TPC[:, row], has_four_weapon_bits=demo.has_four_weapon_bits)
        before: dict[int, DemoTick | None] = {0: None} | {tick.picture: tick for tick in ticks}
        index = 0
        for picture, pixels_HWC in enumerate(pictures(demo, wads, demo.players[row])):
            if picture not in before:
                continue
            tick = before[picture]
            frame = Frame(pixels_HWC, index * SECOND_NS // TICKS_PER_SECOND, index)
            executed = None if tick is None else Decision(tick.action, by_user=True)
            yield ImportedFrame(frame, executed, instruction, () if tick is None else tick.events)
            index += 1

    def _checked(self, doubt: str | None) -> str | None:
        """The doubt, if this demo is imported all the same.

        Raises:
            UserError: there is one, and the user does not insist.
        """
        if doubt is not None and not self._anyway:
            raise UserError(f"{doubt}; give those with --iwad and --files, or --anyway if these are right.")
        return doubt

    def _parse(self, origin: _Source) -> LmpDemo:
        if origin.lump is None:
            try:
                return parse_lmp(read_regular(origin.path, _MOST_BYTES), origin.name)
            except OSError as error:
                raise unreadable(origin.path, error) from error
        wad = WadFile(origin.path)
        return parse_lmp(wad.read(next(lump for lump in wad.lumps if lump.name == origin.lump)), origin.name)

    def _in_wad(self, path: Path) -> list[_Source]:
        wad = WadFile(path)
        names = list(dict.fromkeys(lump.name for lump in wad.lumps if lump.name.startswith("DEMO") and lump.size > 13))
        if not names:
            raise UserError(f"{path} holds no demos (lumps DEMO1, DEMO2, ...): give another WAD, or .lmp files.")
        wads = Wads(path) if wad.is_game else self._wads((path,), path)
        return [_Source(f"{path}:{name}", wads, path, name, name == names[-1]) for name in names]

    def _wads(self, own: tuple[Path, ...], path: Path) -> Wads:
        if self._iwad is None:
            raise UserError(f"{path} is played with a game: say which with --iwad GAME.wad.")
        wads = Wads(self._iwad, (*self._files, *own))
        for given in wads.wads:
            WadFile(given)
        return wads


def level_name(episode: int, number: int, wads: Wads) -> str:
    """What the game calls a level: E1M2, or MAP02 in games without episodes."""
    is_numbered = any(level.startswith("MAP") for level in WadFile(wads.iwad).levels)
    return f"MAP{number:02}" if is_numbered else f"E{episode}M{number}"


def _level(demo: LmpDemo, wads: Wads) -> str:
    """The name of the demo's level, which the WADs must have."""
    level = level_name(demo.episode, demo.map, wads)
    if not any(level in WadFile(path).levels for path in wads.wads):
        raise UserError(
            f"{demo.name} begins in {level}, which {' and '.join(path.name for path in wads.all)} has not: "
            "it was recorded with other files; give those."
        )
    return level


def _doubt_of_files(demo: LmpDemo, level: str, origin: _Source) -> str | None:
    """Why these WADs are not the demo's: its footer names others, or nobody is there to fight."""
    given = {path.name.lower() for path in origin.wads.all}
    missing = [name for name in (demo.iwad, *demo.files) if name and name not in given]
    if missing and origin.lump is None:
        return f"{demo.name} was recorded with {' and '.join(missing)}, not with {' and '.join(sorted(given))}"
    if demo.is_deathmatch or demo.is_without_monsters or _has_monsters(level, origin.wads):
        return None
    return (
        f"{demo.name} is no deathmatch, but {level} of {origin.wads.wads[-1].name} has no monsters: it was recorded "
        "with other files"
    )


def _doubt_of_walk(demo: LmpDemo, played: Replay, agreement: Agreement, origin: _Source) -> str | None:
    """Why these WADs are not the demo's: its players do not go where they are told, and no level is finished."""
    if agreement.share >= IN_STEP or (played.exits and not demo.is_deathmatch):
        return None
    return (
        f"{demo.name} is not played as it was recorded (its players go where they are told in {agreement.share:.0%} of "
        f"the time, and 90% is usual): it was recorded with other files than "
        f"{' and '.join(path.name for path in origin.wads.all)}"
    )


def _has_monsters(level: str, wads: Wads) -> bool:
    wad = next(wad for wad in map(WadFile, reversed(wads.wads)) if level in wad.levels)
    things = np.frombuffer(wad.level_lump(level, "THINGS"), "<i2").reshape(-1, 5)  # x, y, angle, kind, flags
    return bool(np.isin(things[:, 3], _MONSTERS).any())
