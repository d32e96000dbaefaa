"""`eyehand play-with`: a person and an agent in one game, each on a screen of their own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eyehand.errors import UserError


@dataclass(frozen=True)
class Options:
    """Options of `eyehand play-with`.

    Attributes:
        game: a game that two can play, for example crispy-doom, or the path of a profile of your own.
        mode: how, for example deathmatch or co-op. Default: the game's usual mode.
        checkpoint: the agent that plays with you: a bundled checkpoint's name or a folder.
        player: who plays instead of a checkpoint: random.
        size: size of your window, for example 1280x720. Default: as the game's profile says.
        own_screen: size of the agent's screen.
        visible: show the agent's screen in a window of yours.
        view: whether to watch the agent, and take over from it, in the browser: on, off, or HOST:PORT.
        runtime: what the network runs on: auto, torch, openvino, openvino-int8 or cuda-graph (see docs/timing.md).
        threads: at most so many CPU threads for the network; fewer are taken where more are not quicker.
        instruction: what the agent is to do, in words. Default: the mode's; "" gives none.
        seconds: how long the agent plays at most. Default: until you leave the game.
        record: folder that gets a recording of what the agent sees and does.
        out: folder for report.html, report.json and play.mp4.
        video: write play.mp4, the agent's picture with keys and mouse drawn beneath it.
    """

    game: str = "crispy-doom"
    mode: str | None = None
    checkpoint: str = "pocket-doom"
    player: str | None = None
    size: str | None = None
    own_screen: str = "640x480"
    visible: bool = False
    view: str = "on"
    runtime: Literal["auto", "torch", "openvino", "openvino-int8", "cuda-graph"] = "auto"
    threads: int = 1
    instruction: str | None = None
    seconds: float = 86400.0
    record: Path | None = None
    out: Path = Path("out/play-with")
    video: bool = True


def run(options: Options) -> int:
    """Start both games, let the agent play until the person leaves. Ends with 130 if Ctrl-C cut it short."""
    from rich.console import Console

    from eyehand.desktop import require_xcb

    require_xcb()
    from eyehand.commands.play import view_address
    from eyehand.desktop.profile import load_profile, parse_size
    from eyehand.games.desktop.together import TogetherGame
    from eyehand.play.play import PlayOptions, play_with
    from eyehand.play.report import print_report
    from eyehand.play.shared import TakeoverOptions
    from eyehand.players.registry import open_player

    if options.player == "demonstrator":
        raise UserError("There is no demonstrator for desktop games: choose a --checkpoint, or --player random.")
    play_options = PlayOptions(
        game=options.game,
        player=options.player or options.checkpoint,
        instruction=options.instruction,
        seconds=options.seconds,
        record=options.record,
        out=options.out,
        video=options.video,
        takeover=TakeoverOptions(view=view_address(options.view, is_default=True)),
    )
    game = TogetherGame(
        load_profile(options.game),
        options.mode,
        parse_size(options.own_screen),
        size_px=None if options.size is None else parse_size(options.size),
        visible=options.visible,
    )
    with closing(game):
        player = open_player(play_options.player, game, runtime=options.runtime, threads=options.threads)
        report = play_with(game, player, play_options, has_ended=lambda: game.has_ended)
    console = Console()
    print_report(report, console)
    console.print(f"report {options.out / 'report.html'}", highlight=False)
    return 130 if report.is_interrupted else 0
