"""Options of the model server, as the command line and the library have them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eyehand.inference.network_options import NetworkOptions

__all__ = ["ServeOptions"]


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
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
        network: what the network runs on.
        max_clients: clients at once.
    """

    checkpoint: str = "pocket-doom"
    socket: Path | None = None
    socket_mode: str = "0600"
    tcp: str | None = None
    token_file: Path | None = None
    instruction: str | None = None
    temperature: float | None = None
    network: NetworkOptions = field(default_factory=NetworkOptions)
    max_clients: int = 64
