"""The address of a model server: the path of a Unix socket, or HOST:PORT. Opens no sockets."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError, unreadable

__all__ = ["Address", "read_token"]

_MIN_TOKEN = 16


@dataclass(frozen=True)
class Address:
    """A Unix socket's path, or a host with a port.

    Attributes:
        path: of the Unix socket; None: it is TCP.
        host, port: of TCP. Port 0 lets the system choose one when a server binds it.
    """

    path: Path | None = None
    host: str = ""
    port: int = 0

    @staticmethod
    def parse(text: str) -> Address:
        """`/tmp/uds.recap`, `./here`, `localhost:9999`, `[::1]:9999`.

        Raises:
            UserError: it is neither.
        """
        if text and ("/" in text or ":" not in text):
            return Address(path=Path(text))
        return Address.parse_tcp(text)

    @staticmethod
    def parse_tcp(text: str) -> Address:
        """HOST:PORT only.

        Raises:
            UserError: it is something else.
        """
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise UserError(f"{text!r} is no address: give the path of a Unix socket (/tmp/uds.recap) or HOST:PORT.")
        return Address(host=host, port=int(port))

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path) if "/" in str(self.path) else f"./{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Family and numeric address of a TCP address.

        Raises:
            UserError: the host's name is unknown.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UserError(f"Cannot find the host {self.host!r} ({error.strerror}): check its name.") from error
        family, _, _, _, address = found[0]
        return family, (str(address[0]), int(address[1]))

    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.path is not None or ipaddress.ip_address(self.resolve()[1][0].partition("%")[0]).is_loopback


def read_token(file: Path) -> str:
    """The token in a file: its text without white space around it.

    Raises:
        UserError: the file cannot be read, or what it holds is too short to be a secret.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise unreadable(f"The token file {file}", error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"The token file {file} cannot be read: it is not text in UTF-8.") from error
    if len(token) < _MIN_TOKEN:
        raise UserError(
            f"The token in {file} has {len(token)} characters: make one of at least {_MIN_TOKEN}, "
            "for example with `openssl rand -hex 32`."
        )
    return token
