"""Places that data sets are pushed to and pulled from: `open_store(URL)`.

A URL of fsspec (a local path, `s3://`, `memory://`) is a `FolderStore`; `hf://datasets/OWNER/NAME` is a `HubStore`,
whose files are uploaded in commits by huggingface_hub. A store moves bytes; it knows nothing about recordings or
manifests.
"""

from __future__ import annotations

import hashlib
import logging
import posixpath
import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlsplit

from eyehand.errors import UserError
from eyehand.recording.file_range import file_system_of

__all__ = ["FolderStore", "HubStore", "Store", "StoredFile", "open_store", "part_name"]

_HUB = "hf://datasets/"
_WHOLE_OR_NOT = {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"}
"""File systems where a file appears only when all of it is there."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a store; `sha256` is None where the store does not know it."""

    size: int
    sha256: str | None = None


class Store(Protocol):
    """Where a data set lies.

    Attributes:
        url: as it was given.
        batch_size: how many files may go up in one `put`.
        num_parallel: how many `put`s and `open`s may run at once.

    Every method raises whatever the file system raises; whoever calls it tries again.
    """

    url: str
    batch_size: int
    num_parallel: int

    def files(self) -> dict[str, StoredFile]:
        """What is there, by path; empty if the place does not exist."""
        ...

    def put(self, batch: Sequence[tuple[str, Path]]) -> None:
        """Upload files under these paths; those that are there are replaced."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A readable file that can be sought in."""
        ...


def part_name(name: str) -> str:
    """What a file of this name is called until all of it is there; not longer, and hidden, as no pushed file is."""
    return f".{hashlib.sha256(name.encode()).hexdigest()}.part"


def open_store(url: str) -> Store:
    """The store at a URL.

    Raises:
        UserError: the URL is empty, names no file system, or needs a package that is not installed.
    """
    if not url:
        raise UserError("The place of the data set is empty: give its URL, or a folder.")
    if url.startswith("hf://"):
        repository = url.removeprefix(_HUB).strip("/")
        if not url.startswith(_HUB) or repository.count("/") != 1:
            raise UserError(f"{url} is no data set of the hub: write hf://datasets/OWNER/NAME.")
        return HubStore(repository)
    return FolderStore(url)


class FolderStore:
    """A folder on any file system of fsspec."""

    batch_size = 1
    num_parallel = 4

    def __init__(self, url: str) -> None:
        self._system, self._root = file_system_of(url)
        protocol = self._system.protocol
        self.url = url
        self._is_atomic = bool(_WHOLE_OR_NOT.intersection([protocol] if isinstance(protocol, str) else protocol))

    def files(self) -> dict[str, StoredFile]:
        self._system.invalidate_cache()
        if not self._system.isdir(self._root):
            return {}
        found = self._system.find(self._root, detail=True)
        return {
            posixpath.relpath(path, self._root): StoredFile(int(facts["size"] or 0)) for path, facts in found.items()
        }

    def put(self, batch: Sequence[tuple[str, Path]]) -> None:
        for name, source in batch:
            target = posixpath.join(self._root, name)
            folder, plain = posixpath.split(target)
            self._system.makedirs(folder, exist_ok=True)
            if self._is_atomic:
                self._system.put_file(str(source), target)
                continue
            part = posixpath.join(folder, part_name(plain))
            self._system.put_file(str(source), part)
            self._system.mv(part, target)

    def open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._system.open(posixpath.join(self._root, name), "rb"))


class HubStore:
    """A data set repository of a hub (the one that HF_ENDPOINT names, with the token of `hf auth login`).

    Args:
        repository: OWNER/NAME.
        api: a huggingface_hub.HfApi; None: the usual one.
    """

    batch_size = 50
    num_parallel = 1

    def __init__(self, repository: str, api: Any = None) -> None:
        try:
            from huggingface_hub import HfApi, HfFileSystem
        except ImportError as error:
            raise UserError("The hub needs more packages: run `pip install 'eyehand[exchange]'`.") from error
        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # what fails is said by us, once
        self.url = _HUB + repository
        self._repository = repository
        self._api: Any = api or HfApi()
        # Not cached: another instance may be of another endpoint, and its listings outlive a push.
        self._system: Any = HfFileSystem(endpoint=self._api.endpoint, token=self._api.token, skip_instance_cache=True)

    def files(self) -> dict[str, StoredFile]:
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        _check_network(self._api.endpoint)
        self._system.invalidate_cache()
        try:
            tree = list(self._api.list_repo_tree(self._repository, repo_type="dataset", recursive=True))
        except RepositoryNotFoundError:
            return {}
        return {
            entry.path: StoredFile(entry.size, entry.lfs.sha256 if entry.lfs else None)
            for entry in tree
            if isinstance(entry, RepoFile)
        }

    def put(self, batch: Sequence[tuple[str, Path]]) -> None:
        from huggingface_hub import CommitOperationAdd

        self._api.create_repo(self._repository, repo_type="dataset", exist_ok=True, private=True)
        self._api.create_commit(
            self._repository,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(source)) for name, source in batch],
            commit_message=f"eyehand data push: {len(batch)} files",
            repo_type="dataset",
        )

    def open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._system.open(f"datasets/{self._repository}/{name}", "rb"))


def _check_network(endpoint: str) -> None:
    """Raise UserError where the hub's name is unknown, as without network: trying again would take minutes."""
    host = urlsplit(endpoint).hostname
    if host is None or urllib.request.getproxies():  # a proxy knows names that we do not
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise UserError(
            f"{host} cannot be found ({error.strerror or error}): connect to the network, and run the command again."
        ) from error
