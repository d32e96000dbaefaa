"""`eyehand serve`: a checkpoint that plays for clients on a socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Options:
    """Options of `eyehand serve`.

    Attributes:
        checkpoint: the agent: a bundled checkpoint's name or a folder.
        socket: path of the Unix socket to serve at. Default: /tmp/uds.recap, where Open P2P's recorder looks, unless
            --tcp is given.
        socket_mode: who may connect to it, in octal: 0600 is you alone, 0777 everybody on this machine.
        tcp: HOST:PORT to serve at; only localhost unless there is a token.
        token_file: file with the secret that every TCP client must send.
        instruction: what to do, in words, for clients that cannot say it themselves.
        temperature: of the sampling: 0 is the likeliest action. Default: the checkpoint's.
        runtime: what the network runs on: auto, torch, openvino, openvino-int8 or cuda-graph (see docs/timing.md).
        threads: CPU threads of the network.
        max_clients: clients at once.
    """

    checkpoint: str = "pocket-doom"
    socket: Path | None = None
    socket_mode: str = "0600"
    tcp: str | None = None
    token_file: Path | None = None
    instruction: str | None = None
    temperature: float | None = None
    runtime: Literal["auto", "torch", "openvino", "openvino-int8", "cuda-graph"] = "auto"
    threads: int = 1
    max_clients: int = 64


def run(options: Options) -> int:
    """Serve until Ctrl-C or SIGTERM; ends with 130 or 143 then."""
    import logging

    from eyehand.errors import UserError
    from eyehand.serve.connection import ClientLimits
    from eyehand.serve.serve import ServeOptions, serve

    if options.max_clients < 1:
        raise UserError(f"--max-clients is {options.max_clients}: it must be 1 or more.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    socket = options.socket or (Path("/tmp/uds.recap") if options.tcp is None else None)
    ended_by = serve(
        ServeOptions(
            checkpoint=options.checkpoint,
            socket=socket,
            socket_mode=_mode(options.socket_mode),
            tcp=options.tcp,
            token_file=options.token_file,
            instruction=options.instruction,
            temperature=options.temperature,
            runtime=options.runtime,
            threads=options.threads,
            limits=ClientLimits(connections=options.max_clients),
        ),
        lambda addresses: print(f"serving {options.checkpoint} at {', '.join(map(str, addresses))}", flush=True),
    )
    return 128 + ended_by


def _mode(text: str) -> int:
    from eyehand.errors import UserError

    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise UserError(f"--socket-mode is {text!r}: give permissions in octal, such as 0600.")
    return mode
