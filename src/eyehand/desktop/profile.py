"""Game profiles: small TOML files that say how to start a game, find its window, begin a round, and what its keys do.

`load_profile` takes the name of a profile that comes with eyehand or the path of one's own file. Every name in a file
must be known, so that a slip of the pen is found before the game starts. docs/desktop.md explains how to write one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shlex
import shutil
import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from eyehand.action import Action
from eyehand.consent import ask_once
from eyehand.desktop.score import Score, check_score
from eyehand.errors import UserError, unreadable
from eyehand.typed import typed

__all__ = ["GAME_FOLDERS", "Checks", "Launch", "Profile", "Step", "Together", "load_profile", "profile_names"]
__all__ += ["load_trusted_profile"]

GAME_FOLDERS = ("/usr/games", "/usr/local/games")
"""Where distributions put games, searched after PATH."""


@dataclass(frozen=True)
class Step:
    """One scripted input of a profile.

    Attributes:
        keys, buttons: held during the step.
        dx, dy: motion at its beginning, in pixels.
        hold_s: how long keys and buttons are held.
        wait_s: how long to wait afterwards.
        until_change: wait afterwards until the picture has become another one (at most the profile's timeout).
    """

    keys: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()
    dx: int = 0
    dy: int = 0
    hold_s: float = 0.1
    wait_s: float = 0.2
    until_change: bool = False

    @property
    def action(self) -> Action:
        """The Action that is held."""
        return Action.of(self.keys, self.buttons, self.dx, self.dy)


@dataclass(frozen=True)
class Launch:
    """A profile's [launch]: how a game starts.

    Attributes:
        command: program and arguments; `{folder}` is a fresh folder of the game's own (also its HOME), `{width}` and
            `{height}` are the size of its screen or `size`, and every name of `find` stands for the file found.
        size: width and height of the game's window, e.g. "640x480".
        environment: more variables.
        find: name to the places where a file or folder of the game may be; the first that exists counts.
        files: path within the folder to text, with the same placeholders, written before the game starts.
    """

    command: tuple[str, ...]
    size: str = "640x480"
    environment: dict[str, str] = field(default_factory=dict)
    find: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checks:
    """A profile's [checks]: the steps of `eyehand games check`; one that is missing is not tried.

    Attributes:
        move, turn, fire: each must change the picture more than doing nothing does.
        steer_left, steer_right: done in turns, must give pictures that can be told apart, in a game that never stands
            still.
        change: the factor by which it must be more.
        arguments: added to the command for the check: a calm round, in which nobody attacks the player.
    """

    move: Step | None = None
    turn: Step | None = None
    fire: Step | None = None
    steer_left: Step | None = None
    steer_right: Step | None = None
    change: float = 1.5
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Together:
    """A profile's [together]: a network game of two instances on one machine, see `eyehand play-with`.

    Attributes:
        host: added to the command of the person's game, which waits for the other; `{port}` is a free port.
        join: added to the command of the agent's.
        without: the words of the command that the agent's game does without, one after the other in it.
        modes: name to what is further added to the host's command; the first is the usual one.
        instructions: name of the mode to what the agent is to do, in words.
        window_title: part of the title of the window that is played; another one may show that the game waits.
    """

    host: tuple[str, ...]
    join: tuple[str, ...]
    modes: dict[str, tuple[str, ...]]
    without: tuple[str, ...] = ()
    instructions: dict[str, str] = field(default_factory=dict)
    window_title: str | None = None


@dataclass(frozen=True)
class Profile:
    """A game profile.

    Attributes:
        name: as the user types it; from the file's name.
        title: the game's full name.
        instructions: tasks in words; the first is the usual one.
        packages: what to install (Debian's names).
        notes: for the user, shown by `games show`.
        launch: how it starts.
        window_title, window_class: of the window that is played; a part of the title, the class or instance.
        timeout_s: it must show its window, and after that its picture, within this time.
        ready_output: the game prints this when it is ready to be played; None: it prints nothing.
        round_s: a round ends after so many seconds; the next one starts the game afresh.
        start: input before a round can begin (menus).
        keys, buttons: that the game uses.
        px_per_degree: mouse pixels that turn the view by one degree; 0: the mouse does not turn it.
        checks: steps of `games check`.
        together: its network game of a person and an agent; None: it has none.
        score: where its score is read; None: nobody knows it.
    """

    name: str
    title: str
    launch: Launch
    instructions: tuple[str, ...] = ("play", "play the game")
    packages: tuple[str, ...] = ()
    notes: str = ""
    window_title: str | None = None
    window_class: str | None = None
    timeout_s: float = 60.0
    ready_output: str | None = None
    round_s: float = 600.0
    start: tuple[Step, ...] = ()
    keys: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()
    px_per_degree: float = 0.0
    checks: Checks = Checks()
    together: Together | None = None
    score: Score | None = None

    @property
    def program(self) -> str | None:
        """Path of the program; None: it is not installed."""
        path = shutil.which(self.launch.command[0])
        return path or shutil.which(self.launch.command[0], path=":".join(GAME_FOLDERS))

    def found_files(self) -> dict[str, str]:
        """The files of `launch.find`.

        Raises:
            UserError: one is nowhere.
        """
        found: dict[str, str] = {}
        for name, places in self.launch.find.items():
            place = next((place for place in places if Path(place).expanduser().exists()), None)
            if place is None:
                raise UserError(f"{self.name} needs {' or '.join(places)}: {self.how_to_install}.")
            found[name] = str(Path(place).expanduser())
        return found

    @property
    def missing(self) -> str | None:
        """A sentence about what is not installed; None: all is there."""
        if self.program is None:
            return f"{self.launch.command[0]} is not installed: {self.how_to_install}."
        try:
            self.found_files()
        except UserError as error:
            return str(error)
        return None

    @property
    def calm(self) -> Profile:
        """The same game as `games check` starts it: with the arguments of its checks."""
        return replace(self, launch=replace(self.launch, command=self.launch.command + self.checks.arguments))

    @property
    def how_to_install(self) -> str:
        """The end of an error message: the packages to install."""
        if not self.packages:
            return "install it"
        return f"install it (Debian, Ubuntu: apt install {' '.join(self.packages)})"


def profile_names() -> list[str]:
    """Names of the bundled profiles."""
    folder = resources.files("eyehand.desktop") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(name: str) -> Profile:
    """Load a bundled profile or a file.

    Args:
        name: of one that comes with eyehand, or the path of a file that ends with .toml.

    Raises:
        UserError: there is none, or it has a mistake.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise unreadable(f"The profile {name}", error) from error
        except UnicodeDecodeError as error:
            raise UserError(f"The profile {name} cannot be read: it is not text in UTF-8.") from error
        return _with_examples(parse_profile(path.stem, text), path.parent)
    if name not in profile_names():
        close = difflib.get_close_matches(name, profile_names(), n=3) or profile_names()
        raise UserError(f"Unknown game {name!r}: did you mean {' or '.join(close)}? `eyehand games list` lists all.")
    folder = Path(str(resources.files("eyehand.desktop"))) / "profiles"
    return _with_examples(parse_profile(name, (folder / f"{name}.toml").read_text()), folder)


def _with_examples(profile: Profile, folder: Path) -> Profile:
    """The profile with the whole path of its pictures of digits, which lie beside its file."""
    score = profile.score
    if score is None or score.screen is None:
        return profile
    screen = replace(score.screen, examples=str(folder / score.screen.examples))
    return replace(profile, score=replace(score, screen=screen))


def load_trusted_profile(name: str) -> Profile:
    """Load a profile to start its game: `load_profile`, and the user is asked once whether a file's program may run.

    Once for everything that decides what runs, so that changes of keys, steps and texts need no further answer. What a
    profile runs that comes with eyehand needs none, whatever else a copy of it says.

    Raises:
        UserError: also when the user does not agree.
    """
    profile = load_profile(name)
    if not name.endswith(".toml") or profile.program is None:
        return profile
    what = _what_runs(profile)
    if all(what != _what_runs(load_profile(each)) for each in profile_names()):
        program = os.path.abspath(profile.program)
        digest = hashlib.sha256(json.dumps([program, what]).encode()).hexdigest()
        launch = profile.launch
        settings = [f"{key}={value}" for key, value in launch.environment.items()]
        command = shlex.join([*settings, program, *launch.command[1:]])
        for placeholder, found in profile.found_files().items():
            command = command.replace("{" + placeholder + "}", found)
        files = f" after writing its {', '.join(launch.files)}" if launch.files else ""
        together = profile.together
        more = [*profile.checks.arguments]
        more += [*together.host, *together.join, *chain(*together.modes.values())] if together else []
        also = f" (at times also with {shlex.join(more)})" if more else ""
        ask_once(f"run {digest}", f"{name} starts a program with your rights{files}: {command}{also}")
    return profile


def _what_runs(profile: Profile) -> list[Any]:
    """All of a profile that can decide what its game's process does."""
    launch, together = profile.launch, profile.together
    joined = together and [together.host, together.join, together.without, together.modes]
    return [launch.command, launch.environment, launch.find, launch.files, profile.checks.arguments, joined]


def parse_profile(name: str, text: str) -> Profile:
    """Parse a profile's TOML text.

    Raises:
        UserError: a mistake in it, said with the name of the place.
    """
    try:
        values = tomllib.loads(text)
        if "name" in values:
            raise UserError("name is not known: a profile has the name of its file")
        if "proof" in values:
            raise UserError("the section [proof] is now called [checks]: write that instead")
        profile = typed(Profile, {"name": name, "launch": {}, **values})
        parse_size(profile.launch.size)
        if not profile.launch.command:
            raise UserError("launch.command is missing or empty")
        for file in map(Path, profile.launch.files):
            if file.is_absolute() or ".." in file.parts:
                raise UserError(f"launch.files.{file} must lie within the game's own folder")
        checks = profile.checks
        tried = (checks.move, checks.turn, checks.fire, checks.steer_left, checks.steer_right)
        Action.of(profile.keys, profile.buttons)  # checks their names, as does that of a step
        for step in (*profile.start, *filter(None, tried)):
            step.action  # noqa: B018
        if profile.together is not None:
            _check_together(profile.together)
        if profile.score is not None:
            check_score(profile.score, parse_size(profile.launch.size))
        if len(profile.instructions) < 2:
            raise UserError("instructions must hold at least two ways to say what to do")
        if min(profile.timeout_s, profile.round_s) <= 0 or profile.px_per_degree < 0:
            raise UserError("timeout_s and round_s must be above 0, and px_per_degree not below it")
    except RecursionError as error:
        raise UserError(f"The profile {name} has a mistake: it is nested too deeply.") from error
    except (tomllib.TOMLDecodeError, ValueError, UserError) as error:
        raise UserError(f"The profile {name} has a mistake: {_sentence(str(error))}") from error
    return profile


def _sentence(text: str) -> str:
    return text if text.endswith("?") else text.rstrip(".") + "."


def _check_together(together: Together) -> None:
    if not together.modes:
        raise UserError("together.modes must name at least one mode")
    for mode in together.instructions:
        if mode not in together.modes:
            raise UserError(f"together.instructions.{mode} is no mode of together.modes")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a size such as "640x480".

    Raises:
        UserError: not a size, or one that no game can use.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UserError(f"The screen size {text!r} cannot be used: write it like 640x480.")
    return width, height
