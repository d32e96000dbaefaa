"""How an agent plays the real game: `python benchmarks/real_doom.py random runs/human/policy [--runs 10]`.

Crispy or Chocolate Doom with Freedoom runs on a screen of its own and is played live at 20 Hz, through screen, keyboard
and mouse. The game records a demo of what was done; distance walked, sectors entered, kills and deaths are read from
replays of it, so nothing is guessed. Runs of the players alternate. Results go to OUT/real_doom.json as they come, and
to OUT/report.html with the videos of the best and the median run; every run's video, report and demo into a folder of
its own beside it. The replays need dsda-doom and chocolate-doom.

With `--merge FOLDER ...` nothing is played: what benchmarks of one player each wrote there is put together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from doom_run import DoomRun, run_of

from eyehand.cli import exit_status
from eyehand.desktop.profile import Profile, Step, load_profile, load_trusted_profile, parse_size
from eyehand.errors import UserError
from eyehand.evaluate.statistics import mean_estimate
from eyehand.foreign import problem_of
from eyehand.formats.doom.dsda import Wads
from eyehand.formats.doom.lmp import parse_lmp
from eyehand.games.desktop.x11 import LaunchedDesktopGame
from eyehand.option_rules import amount, count
from eyehand.play.play import play_with
from eyehand.play.play_options import AgentOptions, LiveOptions, TakeoverOptions
from eyehand.player import Player
from eyehand.players.kinds import PlayerOptions
from eyehand.players.policy import open_policy

_STOP_KEY, _STOP_CODE = "RightBracket", 27
"""Ends the recording of the demo, and the game: no policy knows this key."""

_PATIENCE_S = 30.0
_IWADS = {"E": "freedoom1.wad", "M": "freedoom2.wad"}


@dataclass(frozen=True)
class Run:
    """One run: who played what, what came of it, and how punctual it was."""

    player: str
    level: str
    seed: int
    facts: DoomRun
    on_time: float
    latency_p50_ms: float | None
    steal: float
    video: str


def main() -> None:
    """Play all runs; print a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("players", nargs="*", help="random, or the name or folder of a checkpoint")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], help="folders that earlier benchmarks wrote")
    parser.add_argument("--game", default="crispy-doom", help="crispy-doom or chocolate-doom")
    parser.add_argument("--levels", nargs="+", default=["E1M1", "MAP01"])
    parser.add_argument("--runs", type=count, default=10)
    parser.add_argument("--seconds", type=amount, default=120.0)
    parser.add_argument("--skill", type=count, default=3)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--instruction", default="fight your way through the level")
    parser.add_argument("--wads", type=Path, default=Path("/usr/share/games/doom"))
    parser.add_argument("--out", type=Path, default=Path("out/real_doom"))
    options = parser.parse_args()
    if bool(options.players) == bool(options.merge):
        parser.error("name players, or folders to --merge")
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    failures: list[str] = []
    for folder in options.merge:
        read(options, folder, runs, failures)
    if options.merge:
        write(options, runs, failures)
    for seed, level, player, name in _plan(options):
        what = f"{name} in {level}, run {seed + 1} of {options.runs}"
        print(what, flush=True)
        try:
            runs.append(play(options, player, name, level, seed))
            print(f"  {runs[-1].facts}", flush=True)
        except UserError as error:  # one game that crashes must not cost the other runs
            failures.append(f"{what}: {error}")
            print(f"  {error}", flush=True)
        write(options, runs, failures)
    for row in summary(runs):
        print(row["player"], row["level"], {name: row[name]["mean"] for name in _FIGURES})
        print("  best", row["best"], "median", row["median"])
    if failures:
        print(f"{len(failures)} runs failed and are counted nowhere:", *failures, sep="\n  ")


_FIGURES = tuple(field.name for field in fields(DoomRun))


def _plan(options: argparse.Namespace) -> Iterator[tuple[int, str, Player, str]]:
    """Seed, level, player and its name of every run."""
    from eyehand.players.random import RandomPlayer

    opened = PlayerOptions(threads=options.threads)
    if options.players:
        load_trusted_profile(options.game)
        for level in options.levels:
            file = options.wads / _IWADS.get(level[:1], level)
            if not file.is_file():
                raise UserError(f"There is no level {level!r}: {file} is missing; levels are called E1M1 or MAP01.")
    players = [(RandomPlayer() if path == "random" else open_policy(path, opened), path) for path in options.players]
    for seed in range(options.runs):
        for level in options.levels:
            for player, path in players:
                yield seed, level, player, path


def play(options: argparse.Namespace, player: Player, name: str, level: str, seed: int) -> Run:
    """One run, with its demo replayed."""
    label = Path(name).name if Path(name).name != "policy" else Path(name).parent.name
    folder = options.out.resolve() / f"{label}-{level}-{seed:02}"
    folder.mkdir(parents=True, exist_ok=True)
    recorded = folder / "run.lmp"
    recorded.unlink(missing_ok=True)
    wads = Wads(options.wads / _IWADS[level[0]])
    profile = with_demo(load_profile(options.game), wads, level, options.skill, recorded)
    game = LaunchedDesktopGame(profile, parse_size("640x480"))
    with contextlib.closing(game):
        report = play_with(
            game,
            player,
            LiveOptions(
                agent=AgentOptions(player=label),
                instruction=options.instruction,
                seconds=options.seconds,
                seed=seed,
                out=folder,
                person=TakeoverOptions(takeover=False),
            ),
        )
        end_demo(game, recorded)
    timing = report.timing
    return Run(
        player=name,
        level=level,
        seed=seed,
        facts=run_of(parse_lmp(recorded.read_bytes(), str(recorded)), wads),
        on_time=timing.on_time,
        latency_p50_ms=None if timing.latency_ms is None else timing.latency_ms.p50,
        steal=report.machine.mean_steal,
        video=str(folder / "play.mp4"),
    )


def with_demo(profile: Profile, wads: Wads, level: str, skill: int, recorded: Path) -> Profile:
    """The profile of a game that plays this level and records a demo with fine turns."""
    given = {"-iwad": str(wads.iwad), "-skill": str(skill), "-warp": " ".join(c for c in level if c.isdigit())}
    if level.startswith("MAP"):
        given["-warp"] = str(int(level[3:]))
    command: list[str] = []
    for argument in profile.launch.command:
        command += given[command[-1]].split() if command and command[-1] in given else [argument]
    command += ["-record", str(recorded.with_suffix("")), "-longtics", "-maxdemo", "4096"]
    settings = {
        path: f"{text}key_demo_quit {_STOP_CODE}\n" if path == "extra.cfg" else text
        for path, text in profile.launch.files.items()
    }
    launch = replace(profile.launch, command=tuple(command), files=settings)
    return replace(profile, launch=launch)


def end_demo(game: LaunchedDesktopGame, recorded: Path) -> None:
    """Have the game write its demo, which it does when it ends."""
    with contextlib.suppress(UserError):  # the window goes as soon as the key is down
        game.perform(Step(keys=(_STOP_KEY,), hold_s=0.5))
    deadline_s = time.monotonic() + _PATIENCE_S
    while not recorded.exists() or recorded.stat().st_size == 0:
        if time.monotonic() > deadline_s:
            raise UserError(f"The game wrote no demo to {recorded}.")
        time.sleep(0.1)
    time.sleep(0.5)


def summary(runs: list[Run]) -> list[dict[str, Any]]:
    """Means with 95% intervals, by player and level, and the best and the median run by sectors, then distance."""
    rows = []
    for player, level in dict.fromkeys((run.player, run.level) for run in runs):
        ours = [run for run in runs if (run.player, run.level) == (player, level)]
        ranked = sorted(ours, key=lambda run: (run.facts.sectors, run.facts.distance))
        row: dict[str, Any] = {"player": player, "level": level, "runs": len(ours)}
        for name in _FIGURES:
            estimate = mean_estimate([float(getattr(run.facts, name)) for run in ours])
            row[name] = {key: round(getattr(estimate, key), 2) for key in ("low", "high")}
            row[name]["mean"] = round(estimate.value, 2)
        row["best"], row["median"] = ranked[-1].video, ranked[(len(ranked) - 1) // 2].video
        rows.append(row)
    return rows


def read(options: argparse.Namespace, folder: Path, runs: list[Run], failures: list[str]) -> None:
    """Add what another benchmark found, and take over how it was made."""
    file = folder / "real_doom.json"
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise problem_of(file, error) from error
    for name in ("game", "seconds", "skill", "instruction"):
        setattr(options, name, result[name])
    runs += [Run(**{**run, "facts": DoomRun(**run["facts"])}) for run in result["runs"]]
    failures += result["failures"]


def write(options: argparse.Namespace, runs: list[Run], failures: list[str]) -> None:
    """Everything so far; runs that failed are counted nowhere else."""
    result = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "game": options.game,
        "seconds": options.seconds,
        "skill": options.skill,
        "instruction": options.instruction,
        "summary": summary(runs),
        "failures": failures,
        "runs": [asdict(run) for run in runs],
    }
    (options.out / "real_doom.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "report.html").write_text(page(options, result["summary"], failures), encoding="utf-8")


def page(options: argparse.Namespace, rows: list[dict[str, Any]], failures: list[str]) -> str:
    """A page with the figures, and the videos of the best and the median run of each player and level."""
    heads = "".join(f"<th>{escape(name)}" for name in ("player", "level", "runs", *_FIGURES))
    lines, films = [], []
    for row in rows:
        cells = "".join(f"<td>{row[name]['mean']} [{row[name]['low']}, {row[name]['high']}]" for name in _FIGURES)
        who = f"<td>{escape(row['player'])}<td>{row['level']}"
        lines.append(f"<tr>{who}<td>{row['runs']}{cells}")
        for which in ("best", "median"):
            source = escape(os.path.relpath(row[which], options.out.resolve()))
            title = f"{escape(row['player'])}, {row['level']}, {which} run"
            films.append(f'<figure><figcaption>{title}</figcaption><video controls src="{source}"></video></figure>')
    lines += [f"<tr><td colspan=9>{escape(failure)}" for failure in failures]
    return (
        f"<!doctype html><meta charset='utf-8'><title>{escape(options.game)}</title><style>body{{font:14px sans-serif}}"
        "td,th{padding:4px 8px;text-align:left}figure{display:inline-block;margin:8px}video{width:480px}</style>"
        f"<h1>{escape(options.game)}, {options.seconds:g} s a run, told: {escape(options.instruction)}</h1>"
        "<p>Mean with 95% interval; best and median by sectors entered, then distance."
        f"<table><tr>{heads}{''.join(lines)}</table>{''.join(films)}\n"
    )


if __name__ == "__main__":
    sys.exit(exit_status(main))
