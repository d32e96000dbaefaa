"""Serves a checkpoint until SIGINT or SIGTERM: opens sockets, loads and warms up the model, accepts clients."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from eyehand.clock import punctual
from eyehand.errors import UserError
from eyehand.players.kinds import PlayerOptions
from eyehand.players.policy import open_policy
from eyehand.serve.connection import ClientLimits, Service
from eyehand.serve.serve_options import ServeOptions
from eyehand.serve.server import Server
from eyehand.wire.address import Address, read_token
from eyehand.wire.sockets import ListeningSocket, listen

__all__ = ["serve"]


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
    if options.max_clients < 1:
        raise UserError(f"--max-clients is {options.max_clients}: it must be 1 or more.")
    with ExitStack() as stack:
        sockets = _open_sockets(options, stack)
        network = options.network
        player = open_policy(
            options.checkpoint,
            PlayerOptions(temperature=options.temperature, runtime=network.runtime, threads=network.threads),
        )
        checkpoint = player.checkpoint
        service = Service(
            checkpoint=checkpoint.name,
            fps=checkpoint.fps,
            frame_size=checkpoint.config.frame_size,
            space=checkpoint.policy.space,
            instruction=options.instruction or None,
        )
        server = Server(service, player.sibling, sockets, ClientLimits(connections=options.max_clients))
        stack.enter_context(punctual())
        return asyncio.run(_until_signal(server, lambda: on_ready([listening.address for listening in sockets])))


def _open_sockets(options: ServeOptions, stack: ExitStack) -> list[ListeningSocket]:
    """Open the sockets before the model is loaded: a wrong address fails at once, and early clients queue."""
    sockets = []
    path = options.socket or (Path("/tmp/uds.recap") if options.tcp is None else None)
    if path is not None:
        sockets.append(listen(Address(path=path), mode=_mode(options.socket_mode)))
        stack.callback(sockets[-1].close)
    if options.tcp is not None:
        token = None if options.token_file is None else read_token(options.token_file)
        sockets.append(listen(Address.parse_tcp(options.tcp), token=token))
        stack.callback(sockets[-1].close)
    return sockets


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise UserError(f"--socket-mode is {text!r}: give permissions in octal, such as 0600.")
    return mode


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
