"""The model server: accepts clients on its sockets until it is stopped. One model, many connections.

The event loop handles the sockets and never waits for the model; the model's thread never waits for a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Sequence
from functools import partial

from eyehand.frame import resize
from eyehand.player import Player
from eyehand.serve.connection import LOG, ClientLimits, Connection, Service
from eyehand.serve.model_thread import ModelThread
from eyehand.wire.sockets import ListeningSocket

__all__ = ["Server"]

_SEND_BUFFER_BYTES = 64 * 1024
"""Replies are small: what the system holds of them is a second or two of play, not minutes."""
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A TCP client whose machine has vanished is noticed after half a minute."""


class Server:
    """A server of one policy to many clients.

    Args:
        service: the description of the policy that clients are sent.
        new_player: makes the player of one connection; all players share one network.
        sockets: to accept clients on; closed at the end.
        limits: on clients.
    """

    def __init__(
        self,
        service: Service,
        new_player: Callable[[], Player],
        sockets: Sequence[ListeningSocket],
        limits: ClientLimits | None = None,
    ) -> None:
        self._service, self._new_player, self._sockets = service, new_player, tuple(sockets)
        self._limits = limits or ClientLimits()
        self._connections: dict[Connection, None] = {}
        self._numbers = itertools.count(1)

    async def run(self, stop: asyncio.Event, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set, then close every connection and socket.

        Args:
            stop: of the running event loop.
            on_listening: called once when clients can connect.
        """
        async with contextlib.AsyncExitStack() as stack:
            for listening in self._sockets:
                stack.callback(listening.close)
            shrink = partial(resize, size=self._service.frame_size)
            model = stack.enter_context(ModelThread(self._new_player, shrink))
            accepting = [asyncio.ensure_future(self._accept(listening, model)) for listening in self._sockets]
            on_listening()
            try:
                await stop.wait()
            finally:
                for task in accepting:
                    task.cancel()
                await asyncio.gather(*accepting, return_exceptions=True)
                await self._close_connections()

    async def _accept(self, listening: ListeningSocket, model: ModelThread) -> None:
        loop = asyncio.get_running_loop()
        listening.socket.setblocking(False)
        while True:
            try:
                client, _ = await loop.sock_accept(listening.socket)
            except OSError as error:  # out of files, or the client has gone already
                LOG.warning("cannot accept a client: %s", error)
                await asyncio.sleep(0.1)
                continue
            await self._admit(client, listening, model)

    async def _admit(self, client: socket.socket, listening: ListeningSocket, model: ModelThread) -> None:
        """Give the socket a Connection, of which nothing may stay here when it has ended."""
        silent = [one for one in self._connections if one.listening is listening and not one.is_greeted]
        if len(silent) >= self._limits.silent:
            silent[0].end("it said nothing while others came", is_final=False)
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if client.family in (socket.AF_INET, socket.AF_INET6):
            _keep_alive(client)
        name = f"client {next(self._numbers)} at {listening.address}"
        connection = Connection(self._service, model, self._limits, name, listening, self._connections)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(partial(_same, connection), client)
        except OSError as error:
            LOG.warning("%s: %s", name, error)

    async def _close_connections(self) -> None:
        """Close every connection and wait for its end; a client that does not read is aborted after a second."""
        while self._connections:  # one that was just being accepted comes now
            for connection in tuple(self._connections):
                connection.end("the server ends", is_final=False)
            await asyncio.sleep(0.01)


def _same(connection: Connection) -> Connection:
    return connection


def _keep_alive(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS has other names
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
