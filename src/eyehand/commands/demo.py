"""`eyehand demo`: the bundled agent plays three Doom tasks live, and leaves videos and reports to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Options of `eyehand demo`.

    Attributes:
        games: what is played, one after the other.
        checkpoint: the agent: a bundled checkpoint's name or a folder.
        seconds: how long each game is played.
        out: folder that gets a folder per game.
        window: show the game's window.
    """

    games: tuple[str, ...] = ("doom/aim", "doom/approach", "doom/collect")
    checkpoint: str = "pocket-doom"
    seconds: float = 30.0
    out: Path = Path("demo")
    window: bool = False


def run(options: Options) -> int:
    """Play every game in real time, print its score line and where its video and report lie."""
    from eyehand.console import Console
    from eyehand.game import Screen
    from eyehand.games.families import game_names
    from eyehand.play.play import play_live
    from eyehand.play.play_options import AgentOptions, PlayOptions
    from eyehand.play.report import print_report

    console = Console()
    games = [name for pattern in options.games for name in game_names(pattern)]
    for game in games:
        out = options.out / game.replace("/", "-")
        report = play_live(
            PlayOptions(
                game=game,
                agent=AgentOptions(checkpoint=options.checkpoint),
                screen=Screen(visible=options.window),
                seconds=options.seconds,
                out=out,
            )
        )
        print_report(report, console)
        for line in (f"video  {out / 'play.mp4'}", f"report {out / 'report.html'}", ""):
            console.print(line)
        if report.is_interrupted:
            return 130
    return 0
