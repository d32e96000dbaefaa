"""Serves a checkpoint until SIGINT or SIGTERM: opens sockets, loads and warms up the model, accepts clients."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from eyehand.checkpoint import load_checkpoint
from eyehand.clock import punctual
from eyehand.errors import UserError
from eyehand.inference.runtime import Runtime
from eyehand.players.policy import PolicyPlayer
from eyehand.serve.connection import ClientLimits, Service
from eyehand.serve.server import Server
from eyehand.wire.address import Address, read_token
from eyehand.wire.sockets import ListeningSocket, listen

__all__ = ["ServeOptions", "serve"]


@dataclass(frozen=True)
class ServeOptions:
    """The options of `serve`.

    Attributes:
        checkpoint: a bundled checkpoint's name or a folder.
        socket: path of a Unix socket; None: none.
        socket_mode: permissions of its file.
        tcp: HOST:PORT; None: no TCP.
        token_file: file of the token that TCP clients must send; None: none, and only this machine can connect.
        instruction: for clients that send none.
        temperature: of the sampling; None: the checkpoint's.
        runtime: of the network, see `inference.runtime`.
        threads: CPU threads of the network.
        limits: on clients.
    """

    checkpoint: str
    socket: Path | None = None
    socket_mode: int = 0o600
    tcp: str | None = None
    token_file: Path | None = None
    instruction: str | None = None
    temperature: float | None = None
    runtime: Runtime = "auto"
    threads: int = 1
    limits: ClientLimits = field(default_factory=ClientLimits)


def serve(options: ServeOptions, on_ready: Callable[[list[Address]], None]) -> signal.Signals:
    """Serve until SIGINT or SIGTERM; every socket is closed and its file removed then.

    Args:
        options: checkpoint, sockets and limits.
        on_ready: called with the addresses once clients can connect.

    Returns:
        The signal: SIGINT or SIGTERM.

    Raises:
        UserError: an unusable checkpoint, or an address that cannot be bound or would be open without a token.
    """
    if options.token_file is not None and options.tcp is None:
        raise UserError("--token-file is for TCP clients: give --tcp HOST:PORT with it.")
    with ExitStack() as stack:
        sockets = _open_sockets(options, stack)
        checkpoint = load_checkpoint(options.checkpoint)
        player = PolicyPlayer(
            checkpoint, temperature=options.temperature, runtime=options.runtime, threads=options.threads
        )
        player.warm_up()
        service = Service(
            checkpoint=checkpoint.name,
            fps=checkpoint.fps,
            frame_size=checkpoint.config.frame_size,
            space=checkpoint.policy.space,
            instruction=options.instruction or None,
        )
        server = Server(service, player.sibling, sockets, options.limits)
        stack.enter_context(punctual())
        return asyncio.run(_until_signal(server, lambda: on_ready([listening.address for listening in sockets])))


def _open_sockets(options: ServeOptions, stack: ExitStack) -> list[ListeningSocket]:
    """Open the sockets before the model is loaded: a wrong address fails at once, and early clients queue."""
    sockets = []
    if options.socket is not None:
        sockets.append(listen(Address(path=options.socket), mode=options.socket_mode))
        stack.callback(sockets[-1].close)
    if options.tcp is not None:
        token = None if options.token_file is None else read_token(options.token_file)
        sockets.append(listen(Address.parse_tcp(options.tcp), token=token))
        stack.callback(sockets[-1].close)
    if not sockets:
        raise UserError("There is nowhere to serve: give --socket PATH or --tcp HOST:PORT.")
    return sockets


async def _until_signal(server: Server, on_listening: Callable[[], None]) -> signal.Signals:
    received: list[signal.Signals] = []
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    await server.run(stop, on_listening)
    return received[0]
