"""`scored_episodes`: episodes of a game that are scored, as `evaluate`, `improve` and recording by a player play them.

A stepped game waits for the player. A desktop game runs on in real time; where a person's thumbs are its score, its
page is served, for somebody has to watch.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eyehand.clock import punctual
from eyehand.game import Game
from eyehand.games.desktop.score import check_was_read
from eyehand.input_event import InputEvent
from eyehand.play.play_options import TakeoverOptions
from eyehand.play.shared import share
from eyehand.player import Player
from eyehand.players.takeover import Takeover
from eyehand.session import EpisodeEnd, Observer, Session

__all__ = ["ScoredEpisodes", "scored_episodes"]


@dataclass
class ScoredEpisodes:
    """Plays episodes of one game.

    Attributes:
        game: it.
        takeover: through which a person rates it; None: nobody does.
        take_events: for the Recorder; None: there are no events but the player's.
    """

    game: Game
    takeover: Takeover | None = None
    take_events: Callable[[], Sequence[InputEvent]] | None = None
    _thinking: threading.Thread | None = None

    def play(
        self, player: Player, seed: int, observers: Sequence[Observer] = (), instruction: str | None = None
    ) -> EpisodeEnd:
        """Play one.

        Raises:
            UserError: as of `Session.run_episode`; or the score was never read.
        """
        if self.takeover is not None:
            self.takeover.agent = player
            player = self.takeover
        session = Session(self.game, player, observers, instruction=instruction, source=self.takeover)
        session.thinking = self._thinking
        with punctual() if self.game.is_realtime else contextlib.nullcontext():
            end = session.run_episode(seed)
        self._thinking = session.thinking
        check_was_read(self.game.task.name, end.outcome.facts)
        return end


@contextlib.contextmanager
def scored_episodes(game: Game, player: Player) -> Iterator[ScoredEpisodes]:
    """Episodes of a game, which the caller closes, and a first player for it."""
    if not getattr(game, "is_rated", False):
        yield ScoredEpisodes(game)
        return
    with share(game, player, TakeoverOptions(view="on")) as shared:
        yield ScoredEpisodes(shared.game, shared.takeover, shared.take_events)
