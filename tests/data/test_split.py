"""Held-out recordings and nested subsets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.data.dataset import load_dataset
from eyehand.data.index import read_index, write_index
from eyehand.data.indexing import build_index
from eyehand.data.loader import ClipLoader
from eyehand.data.sampler import ClipKey, ClipSampler, weigh_tasks
from eyehand.data.split import SUBSETS, Selection, held_out_from, subset_ids
from eyehand.errors import UserError
from eyehand.recording import annotation_pb2 as pb


def held_out_ids(tasks: dict[str, str], share: float) -> set[str]:
    """Of recordings of a minute each, those that are held out whole."""
    return {name for name, first in held_out_from({k: (v, 1200) for k, v in tasks.items()}, share).items() if not first}


TASKS = {f"recording-{number}": "abc"[number % 3] for number in range(3000)}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve recordings of two tasks, and an index of it."""
    root = tmp_path_factory.mktemp("indexed")
    for seed in range(12):
        moving_block.record(root / "data", seed=seed, num_frames=4 + seed, task="other" if seed > 7 else "block")
    build_index([str(root / "data")], root / "index.parquet")
    return root


def test_subsets_are_nested_and_of_the_stated_size() -> None:
    subsets = [subset_ids(TASKS, percent) for percent in SUBSETS]
    for smaller, larger in itertools.pairwise(subsets):
        assert smaller < larger
    assert subsets[-1] == set(TASKS)
    for share, subset in zip(SUBSETS.values(), subsets, strict=True):
        assert len(subset) / len(TASKS) == pytest.approx(share, abs=0.02)


def test_more_data_moves_nothing() -> None:
    half = dict(itertools.islice(TASKS.items(), 1500))
    assert subset_ids(half, 25) == {name for name in subset_ids(TASKS, 25) if name in half}
    assert held_out_ids(half, 0.05) == {name for name in held_out_ids(TASKS, 0.05) if name in half}


def test_of_few_recordings_the_ends_are_held_out() -> None:
    """Also of the only one of a task, and where the hash would leave next to nothing to learn from."""
    few = {"a": ("one", 6000), "b": ("two", 100), "c": ("two", 4), "d": ("two", 1200)}
    assert held_out_from(few, 0.05) == {"a": 5700, "b": 80, "c": 4, "d": 1140}
    assert held_out_from(few, 0.0) == {name: num_steps for name, (_, num_steps) in few.items()}
    many = {f"recording-{number}": ("one", 100) for number in range(40)}
    held = {name for name, first in held_out_from(many, 0.05).items() if first == 0}
    assert held
    assert all(first == 100 for name, first in held_out_from(many, 0.05).items() if name not in held)
    lopsided = many | dict.fromkeys(held, ("one", 100_000))
    assert set(held_out_from(lopsided, 0.05).values()) == {80, 95_000}


def test_subset_and_held_out_part_know_nothing_of_each_other() -> None:
    """With one hash for both a small subset would be all held out."""
    held = held_out_ids(TASKS, 0.25)
    assert len(held & subset_ids(TASKS, 25)) / len(held) == pytest.approx(0.25, abs=0.05)


def test_every_task_is_in_every_subset() -> None:
    few = {"a": "one", "b": "two", "c": "two"}
    assert {few[name] for name in subset_ids(few, 6)} == {"one", "two"}


def test_an_index_gives_the_data_set_of_its_folder(indexed: Path) -> None:
    from_folder, from_index = load_dataset([indexed / "data"], P2P), load_dataset([indexed / "index.parquet"], P2P)
    assert [e.id for e in from_index.episodes] == [e.id for e in from_folder.episodes]
    assert from_index.instructions == from_folder.instructions
    for name in ("executed_NA", "target_NA", "learn_N", "text_N"):
        np.testing.assert_array_equal(getattr(from_index.loaded(), name), getattr(from_folder.loaded(), name))
    np.testing.assert_array_equal(from_index.decode(3, 1, 4), from_folder.decode(3, 1, 4))


@pytest.mark.parametrize("where", ["index.parquet", "data"])
def test_every_subset_is_judged_by_the_same_held_out_recordings(indexed: Path, where: str) -> None:
    parts = [load_dataset([indexed / where], P2P, 1, Selection(None, percent, 0.2)).split() for percent in SUBSETS]
    trained = [{e.id for e in train.episodes} for train, _ in parts]
    held = [{e.id for e in held_out.episodes} for _, held_out in parts]
    assert all(each == held[0] for each in held)
    assert 2 <= len(held[0]) <= 6
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(trained))
    assert 2 <= len(trained[0]) < len(trained[-1])
    assert trained[-1] | held[-1] == {e.id for e in load_dataset([indexed / "data"], P2P).episodes}


def test_conditions_choose_recordings(indexed: Path) -> None:
    chosen = load_dataset([indexed / "index.parquet"], P2P, 1, Selection("num_frames >= 10 and env_subtype = 'block'"))
    assert [e.id for e in chosen.episodes] == ["block-006", "block-007"]
    with pytest.raises(UserError, match="fits the condition"):
        load_dataset([indexed / "index.parquet"], P2P, 1, Selection("env = 'quake'"))
    with pytest.raises(UserError, match="needs an index"):
        load_dataset([indexed / "data"], P2P, 1, Selection("env = 'quake'"))


def test_an_annotation_that_changed_since_is_noticed(tmp_path: Path) -> None:
    path = moving_block.record(tmp_path / "data", seed=0, num_frames=5)
    build_index([str(tmp_path / "data")], tmp_path / "index.parquet")
    message = pb.VideoAnnotation.FromString((path / "annotation.proto").read_bytes())
    message.frame_annotations[1].user_action.keyboard.keys[:] = ["x"]
    (path / "annotation.proto").write_bytes(message.SerializeToString())
    dataset = load_dataset([tmp_path / "index.parquet"], P2P)
    for workers in (0, 1):
        loader = ClipLoader(dataset, batch_size=1, clip_steps=4, workers=workers)
        with loader, pytest.raises(UserError, match="has changed since it was indexed"):
            next(loader.batches(iter([[ClipKey(0, 0)]])))
    with pytest.raises(UserError, match="has changed since it was indexed"):
        _ = dataset.loaded().target_NA
    (path / "annotation.proto").unlink()
    with pytest.raises(UserError, match=r"annotation.proto is missing"):
        dataset.labels(0, 0, 4)


def test_an_index_of_other_labels_names_the_recording(tmp_path: Path) -> None:
    path, out = moving_block.record(tmp_path / "data", seed=0, num_frames=5), tmp_path / "index.parquet"
    build_index([str(tmp_path / "data")], out)
    write_index([replace(row, num_frames=7) for row in read_index(out)], out)
    said = rf"^{path} has changed since it was indexed \(.* steps instead of .*\): index the data again\.$"
    with pytest.raises(UserError, match=said):
        load_dataset([out], P2P).labels(0, 0, 4)


def test_labels_are_read_when_they_are_needed(indexed: Path) -> None:
    dataset = load_dataset([indexed / "index.parquet"], P2P, selection=Selection(held_out=0.3))
    store, first = dataset.store, dataset.episodes[3]
    assert not any(store.is_loaded_E[each.number] for each in dataset.episodes)
    with ClipLoader(dataset, batch_size=1, clip_steps=4, workers=1) as loader:
        (batch,) = loader.batches(iter([[ClipKey(3, 0)]]))
    loaded = [each.id for each in dataset.episodes if store.is_loaded_E[each.number]]
    assert loaded == [first.id]  # by the worker, for us
    in_folder = load_dataset([indexed / "data"], P2P)
    assert (batch.target_BTA[0] == in_folder.labels(3, 0, 4).target_TA).all()
    _, held_out = dataset.split()
    assert held_out.episodes
    assert (held_out.loaded().target_NA[held_out.steps()] == in_folder.loaded().target_NA[held_out.steps()]).all()
    read = {each.id for each in dataset.episodes if store.is_loaded_E[each.number]}
    assert read == {first.id} | {each.id for each in held_out.episodes}  # and not what belongs to the other part


def test_weights_of_games_change_how_often_they_are_drawn() -> None:
    tasks = ["doom/aim", "doom/line", "quake/maze"]
    weights = weigh_tasks({"doom": 2.0, "doom/line": 0.5}, tasks)
    assert weights == {"doom/aim": 2.0, "doom/line": 0.5, "quake/maze": 1.0}
    stream = ClipSampler([700] * 3, tasks, 2, seed=0, weights=weights)
    drawn = np.bincount([stream.clip(i).episode for i in range(stream.clips_per_epoch)]) / stream.clips_per_epoch
    assert drawn == pytest.approx(np.array([4, 1, 2]) / 7, abs=0.01)
    with pytest.raises(UserError, match=r"no game 'qauke' to weigh: the data are of doom/aim, doom/line, quake/maze"):
        weigh_tasks({"qauke": 2.0}, tasks)
