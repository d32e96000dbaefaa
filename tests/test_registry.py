"""Things by name from our own tables and from other packages: real distributions, installed into a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eyehand.errors import UserError
from eyehand.game import GameFamily
from eyehand.registry import Registry

PLUG_IN = """
from dataclasses import dataclass

import numpy as np
from eyehand.action import Action
from eyehand.formats.import_formats import Format
from eyehand.formats.importing import ImportedFrame, Take, recording_id
from eyehand.frame import Frame
from eyehand.game import GameFamily, Outcome, TaskInfo
from eyehand.player import Decision
from eyehand.players.kinds import PlayerKind
from eyehand.recording.writer import new_info

TASK = TaskInfo("chess/mate", "chess", "mate", ("mate in two", "win"), 2.0, "pawns")


class Board:
    task, fps, state, is_realtime = TASK, 20.0, None, False

    def reset(self, seed):
        self.num_ticks = self.num_moves = 0

    def observe(self):
        return Frame(np.full((240, 320, 3), self.num_moves, np.uint8), self.num_ticks * 50_000_000, self.num_ticks)

    def act(self, action):
        self.num_ticks += 1
        self.num_moves += action == Action.of(["e"])

    def outcome(self):
        return Outcome(self.num_moves >= 10 or self.num_ticks >= 40, float(self.num_moves))

    def release(self): ...

    def close(self): ...


class Chess(GameFamily):
    def names(self):
        return [TASK.name]

    def task(self, name):
        return TASK if name == TASK.name else None

    def open(self, name, *, realtime, with_state, screen):
        return Board()


class Mover:
    def reset(self, seed): ...

    def act(self, observation):
        return Decision(Action.of(["e"]))


class MovesImporter:
    format, losses = "chess-moves", ("nobody saw the faces",)

    def __init__(self, paths):
        self.paths = paths

    def sources(self):
        return [str(path) for path in self.paths]

    def takes(self, source):
        info = new_info("chess", "mate", 20.0, id=recording_id(self.format, source), user="human", os="")
        move = Decision(Action.of(["e"]), by_user=True)
        pictures = [np.full((240, 320, 3), 9 * i, np.uint8) for i in range(5)]
        yield Take(info, (ImportedFrame(Frame(p, i * 50_000_000, i), move) for i, p in enumerate(pictures)))


@dataclass(frozen=True, kw_only=True)
class ChessFormat(Format):
    "Games of chess."

    opening: str = "e4"

    def importer(self):
        return MovesImporter(self.sources)


CHESS = Chess()
MOVER = PlayerKind(open=lambda name, game, options: Mover())
"""


def install(site: Path, package: str, code: str, entry_points: str) -> None:
    """What pip leaves of a package: its module, and its metadata beside it."""
    (site / f"{package}.py").write_text(code)
    info = site / f"{package}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(entry_points)


def eyehand(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(site), os.environ.get("PYTHONPATH", "")))
    return subprocess.run(
        [sys.executable, "-m", "eyehand", *arguments],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages: one that works, and some that are broken in different ways."""
    folder = tmp_path / "site"
    folder.mkdir()
    points = "[eyehand.games]\nchess = chess_games:CHESS\n[eyehand.players]\nmover = chess_games:MOVER\n"
    points += "[eyehand.importers]\nchess-moves = chess_games:ChessFormat\n"
    install(folder, "chess_games", PLUG_IN, points)
    install(folder, "old_games", "import no_such_module_at_all\n", "[eyehand.games]\nold = old_games:OLD\n")
    points = "[eyehand.games]\nodd = odd_games:ODD\n[eyehand.importers]\nodd-moves = odd_games:ODD\n"
    install(folder, "odd_games", "ODD = 3\n", points)
    install(folder, "rude_games", "raise SystemExit('go away\\nnow')\n", "[eyehand.games]\nrude = rude_games:X\n")
    install(folder, "thief", "DOOM = 3\n", "[eyehand.games]\ndoom = thief:DOOM\n")
    return folder


def test_games_of_other_packages_are_listed_and_a_broken_one_is_one_sentence(site: Path) -> None:
    done = eyehand(site, "games")
    assert done.returncode == 0, done.stderr
    assert "chess/mate" in done.stdout
    assert "doom/aim" in done.stdout
    told = sorted(done.stderr.splitlines())
    assert len(told) == 3, done.stderr
    assert [name in line for name, line in zip(("odd_games 1.5", "old_games 1.5", "rude_games 1.5"), told, strict=True)]
    assert "no_such_module_at_all" in told[1]
    assert all("pip uninstall" in line for line in told)


def test_a_broken_package_hurts_only_who_asks_for_it(site: Path) -> None:
    done = eyehand(site, "play", "--game", "old/pong", "--player", "random")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "the package old_games 1.5" in done.stderr
    assert eyehand(site, "games", "doom/aim").stderr == ""
    assert "Unknown game 'chess/stale'" in eyehand(site, "games", "chess/stale").stderr


def test_games_and_players_of_other_packages_are_recorded_scored_and_played(site: Path) -> None:
    done = eyehand(site, "record", "--game", "chess", "--player", "mover", "--episodes", "1", "--out", "data")
    assert done.returncode == 0, done.stderr
    assert "10.00" in done.stdout
    done = eyehand(site, "evaluate", "--game", "chess/mate", "--episodes", "1", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert (site / "out" / "evaluation.html").is_file()
    done = eyehand(site, "play", "--game", "chess/mate", "--player", "mover", "--seconds", "0.5", "--no-video")
    assert done.returncode == 0, done.stderr
    assert "stepped" in eyehand(site, "games", "show", "chess/mate").stdout


def test_a_format_of_another_package_is_a_sub_command(site: Path) -> None:
    done = eyehand(site, "import", "chess-moves", "kasparov", "--out", "moves", "--opening", "d4", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "wrote 1 recording with 5 frames" in done.stdout
    assert done.stderr.count("odd_games 1.5") == 1
    helped = eyehand(site, "import", "--help").stdout
    assert "Games of chess." in helped
    assert "doom-demos" in helped


def test_our_own_faults_stay_ours() -> None:
    registry = Registry(GameFamily, "eyehand.nothing", {"mine": "no_such_module_at_all:X"})  # type: ignore[type-abstract]
    assert registry.names == ["mine"]
    with pytest.raises(ModuleNotFoundError):
        registry.load("mine")
    with pytest.raises(UserError), registry.blame("mine"):
        raise UserError("said already")
