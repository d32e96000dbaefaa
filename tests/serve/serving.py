"""Servers for tests, with real sockets, and players that cost nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from talker import Talker

from eyehand.action import Action
from eyehand.action_space import P2P
from eyehand.player import Decision, Observation, Player
from eyehand.serve.connection import ClientLimits, Service
from eyehand.serve.server import Server
from eyehand.wire.address import Address
from eyehand.wire.sockets import listen


class Sum:
    """A player that costs nothing: moves by the number of its decision, holds `w` in bright pictures.

    Attributes:
        told: what it was asked, of all players that a `Sums` made.
    """

    def __init__(self, told: list[Observation | int]) -> None:
        self.told = told
        self.num = 0

    def reset(self, seed: int) -> None:
        self.num = 0
        self.told.append(seed)

    def act(self, observation: Observation) -> Decision:
        self.told.append(observation)
        self.num += 1
        return Decision(Action.of(["w"] if observation.frame.pixels[0, 0, 0] > 127 else [], dx=self.num))


class Gated(Sum):
    """A `Sum` that says when it begins to think and then waits for permission, for every decision."""

    def __init__(self, told: list[Observation | int]) -> None:
        super().__init__(told)
        self.thinks, self.may_go = threading.Semaphore(0), threading.Semaphore(0)

    def act(self, observation: Observation) -> Decision:
        self.thinks.release()
        assert self.may_go.acquire(timeout=60)
        return super().act(observation)


class Running:
    """A server on a thread of its own."""

    def __init__(
        self,
        new_player: Callable[[], Player],
        address: Address,
        token: str | None = None,
        limits: ClientLimits | None = None,
        instruction: str | None = None,
    ) -> None:
        self._listening = listen(address, token=token)
        self.address = self._listening.address
        service = Service("tiny", 20.0, 32, P2P, instruction)
        self.server = Server(service, new_player, [self._listening], limits)
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="server")
        self._thread.start()
        self._loop, self._stop = self._ready.result(timeout=60)

    async def _run(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        await self.server.run(stop, lambda: self._ready.set_result((loop, stop)))

    def stop(self) -> None:
        """Stop it and wait until it has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def talker(self) -> Talker:
        """A new client."""
        if self.address.path is not None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.address.path))
            return Talker(connection)
        return Talker(socket.create_connection((self.address.host, self.address.port)))


Serve = Callable[..., Running]
"""`serve(new_player, token=..., tcp=..., limits...)`: see the fixture of this name."""
