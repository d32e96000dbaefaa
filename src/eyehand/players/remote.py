"""A player whose decisions are made by a model server on another machine (`eyehand serve`).

Sends picture and executed action, and returns the server's answer to exactly this picture. When the connection is lost,
or nothing comes for `silence_s`, its decision is to hold nothing, so that a Session releases every key at once; it
reconnects by itself and the server then begins the episode again. Knows no game.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING
from eyehand.clock import FPS
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION, resize
from eyehand.game import Game
from eyehand.player import Decision, Observation
from eyehand.players.kinds import PlayerKind, PlayerOptions, check_rate
from eyehand.wire.address import Address, read_token
from eyehand.wire.client import Look, ModelClient

__all__ = ["REMOTE", "RemotePlayer"]


class RemotePlayer:
    """A `player.Player` whose policy runs on a server. Call `connect` first and `close` at the end.

    Args:
        address: of the server.
        token: that it asks for, if it does.
        silence_s: after this time without a message from the server all keys are released. A later answer would
            come too late for a real-time Session anyway.
        tick_s: the time from one `act` to the next: of a longer pause only this much counts as silence.
        dead_after_s: after so long without a word the connection is given up and made anew.

    Attributes:
        stage_ms: milliseconds of the last answer by stage: network (there and back), wait (for other clients of the
            model), and the server's own.
        num_unanswered: decisions to hold nothing because no answer came.
    """

    def __init__(
        self,
        address: Address,
        token: str | None = None,
        *,
        silence_s: float = 0.1,
        tick_s: float = 1 / FPS,
        dead_after_s: float = 2.0,
    ) -> None:
        self.stage_ms: dict[str, float] = {}
        self.num_unanswered = 0
        self._client = ModelClient(address, token, dead_after_s=dead_after_s)
        self._silence_s, self._tick_s = silence_s, tick_s
        self._seed, self._begins = 0, True

    @property
    def name(self) -> str:
        """What reports call it, by the checkpoint that the server plays with."""
        return f"{self._client.service.checkpoint} (remote)"

    @property
    def fps(self) -> float:
        """Ticks a second that the checkpoint was trained at."""
        return self._client.service.fps

    def connect(self, timeout_s: float = 10.0) -> None:
        """Find the server, and load what the first `act` would have to wait for.

        Raises:
            UserError: it is not there, is no eyehand server, or does not accept the token.
        """
        self._client.connect(timeout_s)
        self._small(np.zeros((480, 640, 3), np.uint8))

    def close(self) -> None:
        """End the connection. May be called twice."""
        self._client.close()

    def reset(self, seed: int) -> None:
        """The next picture begins an episode."""
        self._seed, self._begins = seed, True

    def act(self, observation: Observation) -> Decision:
        """The server's decision on this picture, or nothing at all.

        Raises:
            UserError: the server does not want us any more, for example because it has no text encoder.
        """
        begin_s = time.monotonic()
        look = Look(
            pixels=self._small(observation.frame.pixels),
            captured_ns=observation.frame.time_ns,
            instruction=observation.instruction,
            executed=observation.executed,
            seed=self._seed,
            begins=self._begins,
        )
        number = self._client.offer(look)
        if number == 0:
            self.num_unanswered += 1
            return Decision(NOTHING)
        self._begins = False
        reply = self._client.reply(number, begin_s - self._tick_s, self._silence_s)
        if reply is None:
            self.num_unanswered += 1
            return Decision(NOTHING)
        timing = reply.timing
        network_ms = 1e3 * (time.monotonic() - begin_s) - timing.wait_ms - timing.decide_ms
        self.stage_ms = {"network": max(0.0, network_ms), "wait": timing.wait_ms, **timing.stage_ms}
        return Decision(reply.action)

    def _small(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is sent: already resized, if the server's resize is the same as ours and less remains to be sent."""
        service = self._client.service
        size = service.frame_size
        is_smaller = 0 < size * size * 3 < pixels.size
        return resize(pixels, size) if service.resize_version == RESIZE_VERSION and is_smaller else pixels


def _open(name: str, game: Game, options: PlayerOptions) -> RemotePlayer:
    """Connect to the server whose address is the second half of the name."""
    token = None if options.token_file is None else read_token(options.token_file)
    player = RemotePlayer(Address.parse(name.partition(":")[2]), token, tick_s=1 / game.fps)
    player.connect()
    try:
        check_rate(player.name, player.fps, game)
    except UserError:
        player.close()
        raise
    return player


REMOTE = PlayerKind(open=_open)
