"""Options of live play, as the command line and the library have them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from eyehand.errors import UserError
from eyehand.game import Screen
from eyehand.inference.network_options import NetworkOptions
from eyehand.option_rules import NotWith, OnlyWith
from eyehand.players.hotkeys import TakeoverKeys

if TYPE_CHECKING:
    from eyehand.game import Game
    from eyehand.player import Player

__all__ = ["AgentOptions", "LiveOptions", "PlayOptions", "TakeoverOptions"]


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """Who plays.

    Attributes:
        checkpoint: the agent that plays: a bundled checkpoint's name or a folder.
        player: who plays instead of a checkpoint: random, or demonstrator where the game has one.
        server: address of a model server (see `eyehand serve`) that plays instead of a checkpoint: HOST:PORT, or the
            path of a Unix socket.
        token_file: file with the secret that the server asks for.
        network: what the checkpoint's network runs on.
    """

    checkpoint: Annotated[str, NotWith("player", "server")] = "pocket-doom"
    player: str | None = None
    server: str | None = None
    token_file: Annotated[Path | None, OnlyWith("server")] = None
    network: NetworkOptions = field(default_factory=NetworkOptions)

    @property
    def name(self) -> str:
        """Who plays, as `players.kinds.open_player` wants it.

        Raises:
            UserError: the options contradict each other.
        """
        if self.server is not None and self.player is not None:
            raise UserError("Give --player or --server, not both.")
        if self.server is not None:
            return f"remote:{self.server}"
        return self.checkpoint if self.player is None else self.player

    @contextmanager
    def opened(self, game: Game) -> Iterator[Player]:
        """The player, for a game, as long as this context lasts. Errors as of `players.kinds.open_player`."""
        from eyehand.players.kinds import PlayerOptions, open_player

        network = PlayerOptions(runtime=self.network.runtime, threads=self.network.threads, token_file=self.token_file)
        player = open_player(self.name, game, network)
        try:
            yield player
        finally:
            getattr(player, "close", lambda: None)()


@dataclass(frozen=True, kw_only=True)
class TakeoverOptions(TakeoverKeys):
    """How a person takes over.

    Attributes:
        takeover: in a desktop game, any key, click or motion of your own mouse in it takes over from the agent.
        takeover_px: so many pixels of your mouse's motion within a quarter of a second take over.
        view: whether to watch, and take over, in the browser: on, off, auto (with --own-screen), or HOST:PORT.
    """

    takeover: bool = True
    takeover_px: int = 20
    view: str = "auto"


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Live play, whatever is played.

    Attributes:
        game: a game's name, for example doom/aim or chocolate-doom, or the path of a profile of your own.
        agent: who plays.
        instruction: what to do, in words. Default: the task's usual instruction; "" gives none.
        seconds: how long to play.
        seed: of the first episode; the following ones count on.
        record: folder that gets a recording of every episode.
        out: folder for report.html, report.json and play.mp4. Default: a new one, out/play/NUMBER.
        video: write play.mp4, the picture with keys and mouse drawn beneath it.
        person: how a person takes over.
    """

    game: str | None = None
    agent: AgentOptions = field(default_factory=AgentOptions)
    instruction: str | None = None
    seconds: float = 60.0
    seed: int = 0
    record: Path | None = None
    out: Path | None = None
    video: bool = True
    person: TakeoverOptions = field(default_factory=TakeoverOptions)


@dataclass(frozen=True, kw_only=True)
class PlayOptions(LiveOptions):
    """Options of `eyehand play`.

    Attributes:
        window: instead of a game: a window that is there, by a part of its title, class=CLASS, pid=PID, id=NUMBER, or ?
            for the one that you then click into.
        screen: where the game appears.
    """

    window: str | None = None
    screen: Screen = field(default_factory=Screen)

    @property
    def game_name(self) -> str:
        """The name of the game, or of the window, that is to be played.

        Raises:
            UserError: there are two, or none.
        """
        if (self.game is None) == (self.window is None):
            raise UserError("Say what to play: either --game NAME (`eyehand games` lists them) or --window TITLE.")
        return f"window:{self.window}" if self.game is None else self.game
