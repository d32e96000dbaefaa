"""Push and pull through huggingface_hub's own client, against the hub's interface on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer

from eyehand.errors import UserError
from eyehand.hub.manifest import MANIFEST_FILE
from eyehand.hub.pull import pull
from eyehand.hub.push import push
from eyehand.hub.store import HubStore

huggingface_hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def store_at(hub: HubServer) -> HubStore:
    return HubStore("me/play", huggingface_hub.HfApi(endpoint=hub.endpoint, token="hf_test"))


def make(root: Path, num_files: int) -> dict[str, bytes]:
    content = {f"take-{n}/annotation.proto": bytes([n]) * (200 + n) for n in range(num_files)}
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return content


def test_there_and_back(tmp_path: Path, hub: HubServer) -> None:
    content = make(tmp_path / "data", 60)
    report = push(tmp_path / "data", store_at(hub), "---\nlicense: mit\n---\n# card", verify=True)
    assert (report.num_files, report.num_uploaded) == (60, 60)
    assert hub.num_commits == 2 + 2  # 50 files and 10, the card, the manifest
    assert hub.files.keys() == {*content, "README.md", MANIFEST_FILE}
    assert push(tmp_path / "data", store_at(hub), "---\nlicense: mit\n---\n# card").num_uploaded == 0
    pull(store_at(hub), tmp_path / "back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in content} == content
    pull(store_at(hub), tmp_path / "listed", without_manifest=True)
    assert {name: (tmp_path / "listed" / name).read_bytes() for name in content} == content


def test_a_hub_that_is_busy_is_asked_again(tmp_path: Path, hub: HubServer) -> None:
    make(tmp_path / "data", 3)
    hub.failures = [429]
    pauses: list[float] = []
    push(tmp_path / "data", store_at(hub), "# card", wait=pauses.append)
    assert pauses == [1.0]


def test_a_hub_that_refuses_is_not(tmp_path: Path, hub: HubServer) -> None:
    make(tmp_path / "data", 3)
    hub.failures = [403] * 9
    with pytest.raises(UserError, match="hf://datasets/me/play cannot be written"):
        push(tmp_path / "data", store_at(hub), "# card", wait=lambda seconds: pytest.fail("no time cures this"))
    assert MANIFEST_FILE not in hub.files


def test_a_repository_that_is_not_there(tmp_path: Path, hub: HubServer) -> None:
    assert store_at(hub).files() == {}
    with pytest.raises(UserError, match=f"holds no {MANIFEST_FILE}"):
        pull(store_at(hub), tmp_path / "back", wait=lambda seconds: None)


def test_damage_on_the_way(tmp_path: Path, hub: HubServer) -> None:
    make(tmp_path / "data", 3)
    push(tmp_path / "data", store_at(hub), "# card")
    hub.files["take-1/annotation.proto"] = b"?" * 201
    with pytest.raises(UserError, match=r"take-1/annotation.proto is damaged"):
        pull(store_at(hub), tmp_path / "back", wait=lambda seconds: None)
    assert not (tmp_path / "back").exists()


def test_without_network_one_sentence_comes_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    store = HubStore("me/play", huggingface_hub.HfApi(endpoint="https://hub.invalid", token="hf_test"))
    with pytest.raises(UserError, match=r"hub.invalid cannot be found \(.*\): connect to the network"):
        store.files()
    assert capsys.readouterr().err == ""
