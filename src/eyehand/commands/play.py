"""`eyehand play`: live play in real time, with a report and a video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eyehand.errors import UserError

if TYPE_CHECKING:
    from eyehand.play.play import PlayOptions
    from eyehand.play.report import PlayReport
    from eyehand.play.shared import TakeoverOptions
    from eyehand.wire.address import Address


@dataclass(frozen=True)
class Options:
    """Options of `eyehand play`.

    Attributes:
        game: a game's name, for example doom/aim or chocolate-doom, or the path of a profile of your own.
        window: instead of a game: a window that is there, by a part of its title, class=CLASS, pid=PID, id=NUMBER, or ?
            for the one that you then click into.
        own_screen: size of a screen of its own for a desktop game, for example 640x480.
        backend: what a desktop game is seen and played through: x11, or portable (mss and pynput); auto takes this
            one on Windows and macOS.
        checkpoint: the agent that plays: a bundled checkpoint's name or a folder.
        player: who plays instead of a checkpoint: demonstrator or random.
        server: address of a model server (see `eyehand serve`) that plays instead of a checkpoint: HOST:PORT, or the
            path of a Unix socket.
        token_file: file with the secret that the server asks for.
        runtime: what the network runs on: auto, torch, openvino, openvino-int8 or cuda-graph (see docs/timing.md).
        threads: at most so many CPU threads for the network; fewer are taken where more are not quicker.
        instruction: what to do, in words. Default: the task's usual instruction; "" gives none.
        seconds: how long to play.
        seed: of the first episode; the following ones count on.
        record: folder that gets a recording of every episode.
        out: folder for report.html, report.json and play.mp4.
        visible: show the game, or the screen of its own, in a window where it could also run without one.
        video: write play.mp4, the picture with keys and mouse drawn beneath it.
        takeover: in a desktop game, any key, click or motion of your own mouse in it takes over from the agent.
        hand_back_key: the key, or keys together, that give the game back to the agent.
        panic_key: the key, or keys together, that release everything and end play.
        takeover_px: so many pixels of your mouse's motion within a quarter of a second take over.
        view: whether to watch, and take over, in the browser: on, off, auto (with --own-screen), or HOST:PORT.
    """

    game: str | None = None
    window: str | None = None
    own_screen: str | None = None
    backend: Literal["auto", "x11", "portable"] = "auto"
    checkpoint: str = "pocket-doom"
    player: str | None = None
    server: str | None = None
    token_file: Path | None = None
    runtime: Literal["auto", "torch", "openvino", "openvino-int8", "cuda-graph"] = "auto"
    threads: int = 1
    instruction: str | None = None
    seconds: float = 60.0
    seed: int = 0
    record: Path | None = None
    out: Path = Path("out/play")
    visible: bool = False
    video: bool = True
    takeover: bool = True
    hand_back_key: str = "RightAlt+Home"
    panic_key: str = "F12"
    takeover_px: int = 20
    view: str = "auto"


def run(options: Options) -> int:
    """Play, print the report, say where it lies. Ends with 130 if Ctrl-C cut it short."""

    if options.server is not None and options.player is not None:
        raise UserError("Give --player or --server, not both.")
    if options.server is None and options.token_file is not None:
        raise UserError("--token-file is for a server: give its address with --server.")
    from rich.console import Console

    from eyehand.play.play import PlayOptions, play_live
    from eyehand.play.report import print_report

    play_options = PlayOptions(
        game=_game(options),
        player=options.player or options.checkpoint,
        runtime=options.runtime,
        threads=options.threads,
        instruction=options.instruction,
        seconds=options.seconds,
        seed=options.seed,
        record=options.record,
        out=options.out,
        visible=options.visible,
        own_screen=options.own_screen,
        backend=options.backend,
        video=options.video,
        takeover=_takeover(options),
    )
    report = (
        play_live(play_options) if options.server is None else _play_remotely(options, options.server, play_options)
    )
    console = Console()
    print_report(report, console)
    console.print(f"report {options.out / 'report.html'}", highlight=False)
    if options.video:
        console.print(f"video  {options.out / 'play.mp4'}", highlight=False)
    return 130 if report.is_interrupted else 0


def _play_remotely(options: Options, server: str, play_options: PlayOptions) -> PlayReport:
    """The game runs here, the model there."""
    from contextlib import closing

    from eyehand.games.registry import open_game
    from eyehand.play.play import play_with
    from eyehand.players.remote import RemotePlayer
    from eyehand.wire.address import Address, read_token

    token = None if options.token_file is None else read_token(options.token_file)
    with closing(RemotePlayer(Address.parse(server), token)) as player:
        player.connect()
        game = open_game(
            play_options.game,
            realtime=True,
            visible=options.visible,
            own_screen=options.own_screen,
            backend=options.backend,
        )
        with closing(game):
            return play_with(game, player, replace(play_options, player=f"{player.name} (remote)"))


def _takeover(options: Options) -> TakeoverOptions:
    from eyehand.play.shared import TakeoverOptions
    from eyehand.players.takeover import TakeoverKeys

    if options.takeover_px < 1:
        raise UserError("--takeover-px must be 1 or more.")
    keys = TakeoverKeys(options.hand_back_key, options.panic_key)
    keys.hotkeys()
    return TakeoverOptions(
        options.takeover,
        keys,
        options.takeover_px,
        view_address(options.view, is_default=options.own_screen is not None),
    )


def view_address(view: str, *, is_default: bool) -> Address | None:
    """Where the page to watch is served; None: nowhere.

    Args:
        view: on, off, auto, or HOST:PORT.
        is_default: what auto means.
    """
    from eyehand.wire.address import Address

    if view == "off" or (view == "auto" and not is_default):
        return None
    return Address(host="127.0.0.1") if view in ("on", "auto") else Address.parse_tcp(view)


def _game(options: Options) -> str:
    """The name of the game, or of the window, that is to be played."""
    if (options.game is None) == (options.window is None):
        raise UserError("Say what to play: either --game NAME (`eyehand games` lists them) or --window TITLE.")
    return options.game or f"window:{options.window}"
