"""Listening sockets: a Unix socket that replaces only a dead one, or TCP, loopback only unless a token is required."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError
from eyehand.wire.address import Address

__all__ = ["ListeningSocket", "listen"]

_BACKLOG = 128


@dataclass(frozen=True)
class ListeningSocket:
    """A listening socket with its address and token.

    Attributes:
        address: with the real port.
        token: that a client's Hello must carry; None: none is required.
        file_id: device and inode of a Unix socket's file.
    """

    socket: socket.socket
    address: Address
    token: str | None = None
    file_id: tuple[int, int] | None = None

    def close(self) -> None:
        """Stop listening; the file of a Unix socket goes, unless it is another server's by now. May be called twice."""
        if self.socket.fileno() < 0:
            return
        self.socket.close()
        path = self.address.path
        if path is not None:
            try:
                if _file_id(path) == self.file_id:
                    path.unlink()
            except FileNotFoundError:
                pass


def listen(address: Address, *, token: str | None = None, mode: int = 0o600) -> ListeningSocket:
    """Open a socket.

    Args:
        address: to bind.
        token: of TCP clients; a Unix socket is protected by its mode.
        mode: permissions of a Unix socket's file.

    Raises:
        UserError: it is taken, not allowed, or reachable from other machines without a token.
    """
    try:
        return _unix(address, address.path, mode) if address.path is not None else _tcp(address, token)
    except OSError as error:
        raise UserError(f"Cannot listen at {address}: {error.strerror or error}; choose another address.") from error


def _unix(address: Address, path: Path, mode: int) -> ListeningSocket:
    _remove_stale(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(str(path))
        # Nobody can connect before `listen`, so that nobody slips in before the mode is right.
        path.chmod(mode)
        server.listen(_BACKLOG)
    except OSError:
        server.close()
        raise
    return ListeningSocket(server, address, file_id=_file_id(path))


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that has died without removing it."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise UserError(f"{path} exists and is no socket: choose another --socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(str(path))
    if code == errno.ECONNREFUSED:
        path.unlink(missing_ok=True)
    elif code == errno.EACCES:
        raise UserError(f"{path} belongs to somebody else: choose another --socket.")
    elif code != errno.ENOENT:
        raise UserError(f"Somebody serves at {path} already: end that server, or choose another --socket.")


def _tcp(address: Address, token: str | None) -> ListeningSocket:
    if token is None and not address.is_loopback():
        raise UserError(
            f"{address} can be reached from other machines: give --token-file, or serve at localhost:{address.port}."
        )
    family, numeric = address.resolve()
    server = socket.create_server(numeric, family=family, backlog=_BACKLOG)
    return ListeningSocket(server, Address(host=address.host, port=server.getsockname()[1]), token)


def _file_id(path: Path) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
