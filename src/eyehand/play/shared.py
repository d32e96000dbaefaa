"""`share` wraps a game and its player so that a person can watch and take over, with listener and viewer.

A `HeardGame` is taken over with its own keyboard and mouse; any real-time game can be watched in the browser, and taken
over from there (`viewer`). Where neither is possible, game and player are left as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eyehand.errors import UserError
from eyehand.game import Game, HeardGame, Listening
from eyehand.input_event import InputEvent
from eyehand.play.play_options import TakeoverOptions
from eyehand.play.shared_game import SharedGame
from eyehand.player import Player
from eyehand.players.takeover import Takeover
from eyehand.terminal import announce, said_aside
from eyehand.wire.address import Address

if TYPE_CHECKING:
    from eyehand.viewer.viewer import Viewer

__all__ = ["SharedPlay", "check_takeover", "share"]


@dataclass(frozen=True)
class SharedPlay:
    """Game and player for a Session, with what a person needs beside them.

    Attributes:
        game, player: made fit for a person.
        takeover: who is in control; None where nobody can take over.
        viewer: the page; None where there is none.
        take_events: for the Recorder; None where the game's own keyboard and mouse cannot be heard.
    """

    game: Game
    player: Player
    takeover: Takeover | None = None
    viewer: Viewer | None = None
    take_events: Callable[[], Sequence[InputEvent]] | None = None


@contextlib.contextmanager
def share(
    game: Game, player: Player, options: TakeoverOptions, say: Callable[[str], None] = announce
) -> Iterator[SharedPlay]:
    """Let a person watch and take over what `player` plays, while this context lasts; `say` is told who plays, after a
    bell, for the person looks at the game.

    Raises:
        UserError: the page cannot be served at that address.
    """
    view = check_takeover(options, game)
    is_heard = isinstance(game, HeardGame)
    can_take_over = options.takeover and game.is_realtime and (is_heard or view is not None)
    if not can_take_over and view is None:
        yield SharedPlay(game, player)
        return
    with contextlib.ExitStack() as stack:
        takeover: Takeover | None = None
        if can_take_over:
            tell = stack.enter_context(said_aside(lambda text: say(f"\a{text}")))
            takeover = Takeover(player, options, motion_px=options.takeover_px, say=tell)
        viewer = None if view is None else _open_viewer(view, takeover, game.task.name, stack)
        if takeover is None:
            yield SharedPlay(game, player, viewer=viewer)
            return
        shared = SharedGame(
            game,
            takeover,
            _listening(game, takeover, stack) if isinstance(game, HeardGame) else None,
            looked=viewer.look if viewer is not None else lambda _: None,
        )
        yield SharedPlay(shared, takeover, takeover, viewer, takeover.take_events if is_heard else None)


def check_takeover(options: TakeoverOptions, game: Game | None = None) -> Address | None:
    """Where the page to watch this game is served; None: nowhere.

    Raises:
        UserError: an option makes no sense.
    """
    if options.takeover_px < 1:
        raise UserError("--takeover-px must be 1 or more.")
    options.hotkeys()
    has_own_screen = getattr(game, "own_screen_px", None) is not None
    if options.view == "off" or (options.view == "auto" and not has_own_screen):
        return None
    return Address(host="127.0.0.1") if options.view in ("on", "auto") else Address.parse_tcp(options.view)


def _listening(game: HeardGame, takeover: Takeover, stack: contextlib.ExitStack) -> Callable[[], Listening]:
    """A function that starts the game's listener and closes it with the stack."""

    def listen() -> Listening:
        try:
            return stack.enter_context(contextlib.closing(game.listen(takeover.hear)))
        except UserError as error:
            raise UserError(f"{error} Or add --no-takeover: then nobody can take over.") from error

    return listen


def _open_viewer(address: Address, takeover: Takeover | None, game: str, stack: contextlib.ExitStack) -> Viewer:
    from eyehand.viewer.running import announce_play
    from eyehand.viewer.viewer import Viewer

    viewer = stack.enter_context(contextlib.closing(Viewer(address, takeover)))
    stack.enter_context(announce_play(game, viewer.url))
    announce(f"watch it with `eyehand view`, or at {viewer.url}")
    return viewer
