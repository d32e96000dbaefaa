"""`eyehand play`: live play in real time, with a report and a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Options of `eyehand play`.

    Attributes:
        game: a game's name, for example doom/aim.
        checkpoint: the agent that plays: a bundled checkpoint's name or a folder.
        player: who plays instead of a checkpoint: demonstrator or random.
        instruction: what to do, in words. Default: the task's usual instruction; "" gives none.
        seconds: how long to play.
        seed: of the first episode; the following ones count on.
        record: folder that gets a recording of every episode.
        out: folder for report.html, report.json and play.mp4.
        window: show the game's window.
        video: write play.mp4, the picture with keys and mouse drawn beneath it.
    """

    game: str
    checkpoint: str = "pocket-doom"
    player: str | None = None
    instruction: str | None = None
    seconds: float = 60.0
    seed: int = 0
    record: Path | None = None
    out: Path = Path("out/play")
    window: bool = False
    video: bool = True


def run(options: Options) -> int:
    """Play, print the report, say where it lies. Ends with 130 if Ctrl-C cut it short."""
    from rich.console import Console

    from eyehand.evaluate.play import PlayOptions, play_live
    from eyehand.evaluate.report import print_report

    report = play_live(
        PlayOptions(
            game=options.game,
            player=options.player or options.checkpoint,
            instruction=options.instruction,
            seconds=options.seconds,
            seed=options.seed,
            record=options.record,
            out=options.out,
            window=options.window,
            video=options.video,
        )
    )
    console = Console()
    print_report(report, console)
    console.print(f"report {options.out / 'report.html'}", highlight=False)
    if options.video:
        console.print(f"video  {options.out / 'play.mp4'}", highlight=False)
    return 130 if report.is_interrupted else 0
