"""Who may listen where, and what becomes of the socket's file."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from eyehand.errors import UserError
from eyehand.wire.address import Address
from eyehand.wire.sockets import listen


def test_a_socket_is_for_its_owner_alone_unless_told_otherwise(tmp_path: Path) -> None:
    for mode in (0o600, 0o777):
        listening = listen(Address(path=tmp_path / "s"), mode=mode)
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
        listening.close()
        assert not (tmp_path / "s").exists()
        listening.close()


def test_a_socket_without_a_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    listening = listen(Address(path=path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listening.close()


def test_a_socket_with_a_server_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listening = listen(Address(path=path))
    with pytest.raises(UserError, match=r"serves at .* already"):
        listen(Address(path=path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listening.close()


def test_a_busy_server_with_a_full_queue_is_not_taken_for_dead(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        clients = []
        try:
            while True:
                client = socket.socket(socket.AF_UNIX)
                client.setblocking(False)
                clients.append(client)
                if client.connect_ex(str(path)):
                    break
            with pytest.raises(UserError, match=r"serves at .* already"):
                listen(Address(path=path))
        finally:
            for client in clients:
                client.close()
    assert path.exists()


def test_another_servers_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listen(Address(path=path))
    path.rename(tmp_path / "moved")  # so that its inode stays taken
    second = listen(Address(path=path))
    first.close()
    assert path.exists()
    second.close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_text("mine"), "is no socket"),
        (lambda path: path.mkdir(), "is no socket"),
        (lambda path: path.symlink_to("/dev/null"), "is no socket"),
    ],
)
def test_other_files_stay(tmp_path: Path, make: object, sentence: str) -> None:
    path = tmp_path / "s"
    make(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=sentence):
        listen(Address(path=path))
    assert os.path.lexists(path)


@pytest.mark.parametrize("name", ["no/folder/s", "x" * 200])
def test_impossible_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="Cannot listen"):
        listen(Address(path=tmp_path / name))


def test_other_machines_need_a_token() -> None:
    with pytest.raises(UserError, match="give --token-file"):
        listen(Address(host="0.0.0.0"))
    listening = listen(Address(host="0.0.0.0"), token="0123456789abcdef")
    assert listening.address.port > 0
    with pytest.raises(UserError, match="Cannot listen"):
        listen(listening.address, token="0123456789abcdef")
    listening.close()
