"""Demos become recordings whose frames and labels belong together to the tic, drawn by the real dsda-doom."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doom_lmp import commands, freedoom, lmp, needs_dsda, wad
from eyehand.cli import main
from eyehand.errors import UserError
from eyehand.formats.doom.demos import INSTRUCTIONS, DoomDemoImporter, Part
from eyehand.formats.doom.dsda import Replay, Wads, pictures, replay
from eyehand.formats.doom.lmp import parse_lmp
from eyehand.formats.doom.sync import IN_STEP, Agreement, in_step
from eyehand.formats.importing import ImportReport, import_recordings
from eyehand.games.doom.wad import WadFile
from eyehand.recording.reader import Recording

NUM_TICS = 62


def bring_in(paths: Sequence[Path], out: Path, *, part: Part = "all", files: Sequence[Path] = ()) -> ImportReport:
    importer = DoomDemoImporter(paths, iwad=freedoom(2), files=files, part=part)
    return import_recordings(importer, out)


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def own_demo(name: str) -> bytes:
    """A demo out of Freedoom's second game."""
    game = WadFile(freedoom(2))
    return game.read(next(lump for lump in game.lumps if lump.name == name))


def level_lumps(level: str) -> list[tuple[str, bytes]]:
    """A level of Freedoom's second game, to be put into another WAD."""
    names = ("LINEDEFS", "SIDEDEFS", "VERTEXES", "SEGS", "SSECTORS", "NODES", "SECTORS", "REJECT", "BLOCKMAP")
    return [(name, WadFile(freedoom(2)).level_lump(level, name)) for name in ("THINGS", *names)]


def changes(recording: Recording, num_frames: int) -> np.ndarray:
    """How much each captured picture differs from the one before it, above the status bar; 0 for the first."""
    frames_THWC = recording.decode_captured(0, num_frames)[:, :400].astype(np.int16)
    return np.concatenate([[0.0], np.abs(np.diff(frames_THWC, axis=0)).mean(axis=(1, 2, 3))])


@needs_dsda
def test_a_turn_shows_in_the_frame_after_its_tick(tmp_path: Path) -> None:
    """Exact alignment: a tick of one or two tics, the turn in the first or the second of them."""
    turning_tics = (22, 27, 35, 42, 44, 57)
    turn = lmp([commands(NUM_TICS, dict.fromkeys(turning_tics, (0, 0, -8, 0)))])
    report = bring_in([written(tmp_path, "turn.lmp", turn)], tmp_path / "out")
    assert report.problems == []
    with Recording.open(report.written[0]) as recording:
        num_frames = len(recording.times_ns)
        moved = [bool((recording.user_action(frame) or pytest.fail("unknown")).dx) for frame in range(num_frames - 1)]
        changed = changes(recording, num_frames) > 3.0
        assert recording.info.fps == 20
        assert set(recording.instructions) == {INSTRUCTIONS[False]}
    assert sum(moved) == 6
    # Frame 0 is the picture after command 0, so tick i begins with command ceil(7 i / 4) + 1.
    assert [i for i in range(num_frames - 1) if moved[i]] == [12, 14, 19, 23, 24, 32]
    assert list(changed[1:]) == moved
    assert num_frames == 35  # 0, 2, 4, 6, 7, ..., 60 of the pictures 0 to 61


@pytest.mark.slow
@needs_dsda
def test_every_player_of_a_demo_has_a_recording_with_their_own_eyes(tmp_path: Path) -> None:
    """Only the second player turns."""
    demo = lmp([commands(NUM_TICS), commands(NUM_TICS, {40: (0, 0, 30, 0)})])
    report = bring_in([written(tmp_path, "two.lmp", demo)], tmp_path / "out")
    shown = []
    for path in report.written:
        with Recording.open(path) as recording:
            num_frames = len(recording.times_ns)
            turned = [i for i in range(num_frames - 1) if (recording.user_action(i) or pytest.fail("unknown")).dx]
            shown.append((turned, list(np.flatnonzero(changes(recording, num_frames) > 10.0))))
    assert shown == [([], []), ([22], [23])]


@pytest.mark.slow
@needs_dsda
def test_importing_again_changes_nothing_and_the_last_demo_is_the_test_part(tmp_path: Path) -> None:
    demos = [("DEMO1", lmp([commands(40)])), ("DEMO2", lmp([commands(41)])), ("DEMO3", lmp([commands(42)]))]
    addition = wad(tmp_path / "three.wad", demos)
    train = bring_in([addition], tmp_path / "train", part="train")
    test = bring_in([addition], tmp_path / "test", part="test")
    assert (len(train.written), len(test.written)) == (2, 1)
    every = bring_in([addition], tmp_path / "train")
    assert len(every.skipped) == 2
    assert [path.name for path in every.written] == [path.name for path in test.written]


@needs_dsda
def test_demos_for_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """The level is not there; the footer names other files; the players do not go where they are told."""
    own = own_demo("DEMO1")
    assert own[3] == 3, "Freedoom's first demo plays in MAP03"
    footer = b'-iwad "doom2.wad" -file "av.wad"\n'
    bad = {
        "far.lmp": (lmp([commands(50)], level=40), "begins in MAP40, which freedoom2.wad has not"),
        "footer.lmp": (lmp([commands(50)], footer=footer), r"recorded with doom2\.wad and av\.wad, not with freedoom2"),
        "moved.lmp": (own[:3] + b"\x04" + own[4:], "not played as it was recorded"),
        "old.lmp": (b"\x02" + 60 * b"\0" + b"\x80", "first byte is 2"),
    }
    for name, (data, sentence) in bad.items():
        report = bring_in([written(tmp_path, name, data)], tmp_path / "out")
        assert len(report.problems) == 1
        with pytest.raises(UserError, match=sentence):
            raise UserError(report.problems[0])
        assert not report.written
    assert not list((tmp_path / "out").rglob("annotation.proto"))


@needs_dsda
def test_one_bad_file_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No WAD, one that is cut off, a pipe, and a demo that is none, beside a sound one."""
    monkeypatch.chdir(tmp_path)
    whole = wad(tmp_path / "cut.wad", [("DEMO1", lmp([commands(40)]))])
    whole.write_bytes(whole.read_bytes()[:-8])
    os.mkfifo(tmp_path / "pipe.wad")
    os.mkfifo(tmp_path / "pipe.lmp")
    names = ["none.wad", "cut.wad", "pipe.wad", "pipe.lmp", "none.lmp"]
    for name in ("none.wad", "none.lmp"):
        written(tmp_path, name, b"nothing at all")
    good = written(tmp_path, "good.lmp", lmp([commands(NUM_TICS, {40: (0, 0, -8, 0)})]))
    report = bring_in([*map(Path, names), good], tmp_path / "out")
    assert len(report.written) == 1
    assert sorted(problem.split()[0] for problem in report.problems) == sorted(names)


@needs_dsda
def test_the_walk_of_a_demo_agrees_with_its_level_alone() -> None:
    own, game = own_demo("DEMO1"), Wads(freedoom(2))
    demo, moved = parse_lmp(own, "own"), parse_lmp(own[:3] + b"\x0b" + own[4:], "in MAP11")
    assert in_step(demo, replay(demo, game)).share > IN_STEP + 0.04
    assert in_step(moved, replay(moved, game)).share < IN_STEP - 0.04


def lying_dead(num_alive: int, num_dead: int) -> Agreement:
    """How a walk to the east agrees with a demo that goes on pressing for so long after the player's death."""
    num_tics = num_alive + num_dead
    demo = parse_lmp(lmp([commands(num_tics, dict.fromkeys(range(num_tics), (25, 0, 0, 0)))]), "x")
    speeds, xy_TP2 = [0.0], np.zeros((num_tics, 1, 2))
    for tic in range(1, num_tics):
        speeds.append(speeds[-1] * 0xE800 / 0x10000 + 25 * 2048 / 65536 if tic < num_alive else 0.0)
        xy_TP2[tic, 0, 0] = xy_TP2[tic - 1, 0, 0] + speeds[-1]
    is_dead_TP = np.arange(num_tics)[:, None] >= num_alive
    return in_step(demo, Replay(0, xy_TP2, np.zeros((num_tics, 1)), is_dead_TP, np.ones((num_tics, 2), np.int32), ()))


def test_the_dead_do_not_count_unless_they_go_on_pressing() -> None:
    assert lying_dead(200, 170).share > 0.95, "less than five seconds"
    assert lying_dead(1000, 400).share > 0.95, "less than three tenths"
    assert lying_dead(200, 600).share < 0.5
    assert lying_dead(200, 170).num_stuck in range(168, 173)


WALL = dict.fromkeys(range(20, 420), (50, 0, 0, 0))


@needs_dsda
def test_a_demo_that_walks_against_a_wall_is_imported_and_says_so(tmp_path: Path) -> None:
    report = bring_in([written(tmp_path, "wall.lmp", lmp([commands(440, WALL)]))], tmp_path / "out")
    assert (len(report.written), report.problems) == (1, [])
    (note,) = report.notes[0][1]
    stuck = re.search(r"\((\d+) of 400 tics do not count: dead, or against a wall\)", note)
    assert stuck is not None
    assert int(stuck[1]) > 300


@pytest.mark.slow
@needs_dsda
def test_the_user_may_insist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a demo out of step, on other names of files, and on a level without monsters."""
    own = own_demo("DEMO1")
    renamed = lmp([commands(50)], footer=b'-iwad "doom2.wad"\n')
    moved = own[:3] + b"\x04" + own[4 : 13 + 4 * 1000] + b"\x80"
    paths = [written(tmp_path, "moved.lmp", moved), written(tmp_path, "named.lmp", renamed)]
    arguments = ["import", "doom-demos", *map(str, paths), "--iwad", str(freedoom(2)), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.count("give those with --iwad and --files, or --anyway if these are right.") == 2
    assert main([*arguments, "--anyway"]) == 0
    printed = capsys.readouterr()
    assert "wrote 2 recordings" in printed.out
    assert "moved.lmp is not played as it was recorded" in printed.out
    assert "named.lmp was recorded with doom2.wad, not with freedoom2.wad" in printed.out


@needs_dsda
def test_names_without_an_ending_are_those_of_wads(tmp_path: Path) -> None:
    mine = wad(tmp_path / "mylevel.wad", [("MAP01", b""), *level_lumps("MAP01")])
    game = wad(tmp_path / "doom2.wad", [])
    game.write_bytes(freedoom(2).read_bytes())
    for name, footer in (("a", b'-iwad "doom2.wad" -file "mylevel"'), ("b", b'-iwad "DOOM2" -file "x/MyLevel.wad"')):
        demo = written(
            tmp_path, f"{name}.lmp", lmp([commands(50 + len(footer))], footer=footer + b" -complevel vanilla\n")
        )
        importer = DoomDemoImporter([demo], iwad=game, files=[mine])
        report = import_recordings(importer, tmp_path / "out")
        assert (len(report.written), report.problems) == (1, [])


@needs_dsda
def test_options_of_the_footer_reach_the_game(tmp_path: Path) -> None:
    """With -solo-net a level has what it has for several players: there is more to see in MAP01 of Freedoom."""
    walk, seen, ids = dict.fromkeys(range(20, 60), (50, 0, 0, 0)), [], []
    for name, footer in (("alone", b"\n"), ("net", b"-complevel 2 -solo-net \n"), ("level", b"-complevel 2 \n")):
        path = written(tmp_path, f"{name}.lmp", lmp([commands(70, walk)], footer=footer))
        report = bring_in([path], tmp_path / name)
        assert report.problems == []
        ids.append(report.written[0].name)
        with Recording.open(report.written[0]) as recording:
            seen.append(recording.decode_captured(recording.num_frames - 1, 1))
    assert np.abs(seen[0].astype(int) - seen[1]).max() > 60
    assert (seen[0] == seen[2]).all()
    assert ids[0] == ids[2] != ids[1]


def test_patches_are_given_as_what_they_are() -> None:
    wads = Wads(Path("/a/doom2.wad"), (Path("/b/av.wad"), Path("/b/av.DEH"), Path("/b/more.wad")))
    assert wads.wads == (Path("/a/doom2.wad"), Path("/b/av.wad"), Path("/b/more.wad"))
    assert " ".join(wads.arguments) == "-iwad /a/doom2.wad -file /b/av.wad /b/more.wad -deh /b/av.DEH"
    assert Wads(Path("/a/doom2.wad")).arguments == ["-iwad", "/a/doom2.wad"]


@needs_dsda
def test_a_lone_player_without_monsters_is_in_the_wrong_game(tmp_path: Path) -> None:
    """A demo with monsters, in a level that has none: nothing would stop its player going wrong unseen."""
    (_, things), *level = level_lumps("MAP01")
    kinds = np.frombuffer(things, "<i2").reshape(-1, 5)
    alone = kinds[np.isin(kinds[:, 3], (1, 2, 3, 4, 11))].tobytes()
    empty = wad(tmp_path / "empty.wad", [("MAP01", b""), ("THINGS", alone), *level])
    alone_demo = written(tmp_path, "alone.lmp", lmp([commands(50)], no_monsters=0))
    report = bring_in([alone_demo], tmp_path / "out", files=[empty])
    assert len(report.problems) == 1
    assert "has no monsters" in report.problems[0]
    assert bring_in([alone_demo], tmp_path / "out").problems == []


@needs_dsda
def test_a_replay_that_is_left_early_leaves_no_game_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    drawing = pictures(parse_lmp(lmp([commands(2000)]), "long"), Wads(freedoom(2)), 0)
    first = next(drawing)
    assert first.shape == (480, 640, 3)
    assert first.std() > 10, "a picture of the level"
    assert [game.poll() for game in started] == [None]
    drawing.close()
    assert [game.returncode for game in started] == [-signal.SIGKILL]


def test_without_dsda_doom_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *arguments, **more: None)
    demo = written(tmp_path, "a.lmp", lmp([commands(50)]))
    status = main(["import", "doom-demos", str(demo), "--iwad", str(freedoom(2)), "--out", str(tmp_path / "out")])
    assert status == 2
    assert "apt install dsda-doom" in capsys.readouterr().err


def test_what_is_missing_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = written(tmp_path, "a.lmp", lmp([commands(50)]))
    empty = wad(tmp_path / "empty.wad", [("LUMP", b"abc")])
    for arguments, sentence in (
        ([str(demo)], "--iwad"),
        ([str(empty), "--iwad", str(freedoom(2))], "holds no demos"),
        ([str(tmp_path / "none.wad")], "cannot be read"),
        ([str(demo), "--iwad", str(demo)], "is no WAD"),
        ([str(demo), "--iwad", str(freedoom(2)), "--part", "train"], "no demo for `--part train`"),
    ):
        assert main(["import", "doom-demos", *arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
