"""Labels belong to their frames, parts do not mix, and nothing unusable passes in silence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action_space import FULL, P2P, ActionSpace
from eyehand.data.dataset import load_dataset
from eyehand.data.indexing import build_index
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.writer import RecordingWriter


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        moving_block.record(root / "people", seed=seed, num_frames=24)
    moving_block.record(root / "people", seed=7, num_frames=12, task="other", instruction=None)
    moving_block.record(root / "machine", seed=9, num_frames=12, by_user=False)
    return root


def test_a_step_is_a_frame_with_the_action_that_answers_it(root: Path) -> None:
    dataset = load_dataset([root / "people"], P2P)
    for index, episode in enumerate(dataset.episodes):
        where = moving_block.places(episode.num_steps + 1, int(episode.id[-3:]))
        frames_THWC = dataset.decode(index, 0, episode.num_steps)
        labels = dataset.labels(index, 0, episode.num_steps)
        for step in range(episode.num_steps):
            thirds = frames_THWC[step].astype(int).sum((0, 2)).reshape(3, 64).sum(1)
            assert thirds.argmax() == where[step]
            np.testing.assert_array_equal(labels.target_TA[step], P2P.encode(moving_block.ACTIONS[where[step]]))
        np.testing.assert_array_equal(labels.executed_TA, labels.target_TA)
        assert labels.learn_T.all()


def test_clips_start_where_asked_and_are_padded_behind_the_end(root: Path) -> None:
    dataset = load_dataset([root / "people"], P2P)
    whole, clip = dataset.labels(0, 0, 23), dataset.labels(0, 20, 8)
    np.testing.assert_array_equal(clip.target_TA[:3], whole.target_TA[20:23])
    np.testing.assert_array_equal(dataset.decode(0, 20, 3), dataset.decode(0, 0, 23)[20:])
    assert clip.valid_T.tolist() == clip.learn_T.tolist() == [True] * 3 + [False] * 5
    assert not clip.target_TA[3:].any()


def test_instructions_are_rows_of_one_table(root: Path) -> None:
    dataset = load_dataset([root / "people"], P2P)
    assert dataset.instructions == (None, "follow the block")
    rows = {e.task: set(dataset.labels(i, 0, e.num_steps).text_T) for i, e in enumerate(dataset.episodes)}
    assert rows == {"paper/block": {1}, "paper/other": {0}}


WIDE = replace(P2P, name="wide", dx=replace(P2P.dx, edges=tuple(np.arange(-400.5, 400))))


@pytest.mark.parametrize("space", [FULL, WIDE], ids=["full", "801 bins"])
def test_every_token_of_a_large_space_fits(root: Path, tmp_path: Path, space: ActionSpace) -> None:
    build_index([str(root / "people")], tmp_path / "x.parquet")
    for data in (root / "people", tmp_path / "x.parquet"):
        dataset = load_dataset([data], space)
        for index, episode in enumerate(dataset.episodes):
            where = moving_block.places(episode.num_steps + 1, int(episode.id[-3:]))
            done = [space.encode(moving_block.ACTIONS[place]) for place in where[:-1]]
            np.testing.assert_array_equal(dataset.labels(index, 0, episode.num_steps).target_TA, done)


def test_parts_share_no_frame_and_the_held_out_ends_are_those_of_the_recordings(root: Path) -> None:
    both = load_dataset([root / "people"], P2P, selection=Selection(held_out=0.05))
    train, held_out = both.split()
    assert sorted([*train.steps(), *held_out.steps()]) == both.steps().tolist()
    assert {e.task for e in held_out.episodes} == {e.task for e in both.episodes}
    for index, (whole, end) in enumerate(zip(both.episodes, held_out.episodes, strict=True)):
        begin = whole.num_steps - end.num_steps
        assert end.num_steps == whole.num_steps // 5
        np.testing.assert_array_equal(held_out.decode(index, 0, 2), both.decode(index, begin, 2))
        for name, values in vars(held_out.labels(index, 0, 2)).items():
            np.testing.assert_array_equal(values, getattr(both.labels(index, begin, 2), name))
    assert load_dataset([root / "people"], P2P).split()[1].episodes == ()


def test_a_larger_data_set_moves_nothing_from_the_held_out_share_to_training(tmp_path: Path) -> None:
    few = tmp_path / "few"
    for seed in range(8):
        moving_block.record(few, seed=seed, num_frames=3)
    more = tmp_path / "more"
    shutil.copytree(few, more)
    for seed in range(8, 12):
        moving_block.record(more, seed=seed, num_frames=3)
    held = [
        {e.id for e in load_dataset([folder], P2P, selection=Selection(held_out=0.3)).split()[1].episodes}
        for folder in (few, more)
    ]
    assert 0 < len(held[0]) < 8
    assert held[0] == {name for name in held[1] if int(name[-3:]) < 8}


def test_recordings_without_a_user_action_are_not_learnt_from(root: Path) -> None:
    together = load_dataset([root], P2P)
    assert "block-009" not in {episode.id for episode in together.episodes}
    with pytest.raises(UserError, match=r"None of the 1 recordings .* holds a user's action"):
        load_dataset([root / "machine"], P2P)


def test_a_recording_given_twice_counts_once(root: Path) -> None:
    assert load_dataset([root / "people", root / "people"], P2P).num_steps == 3 * 23 + 11


def test_a_systems_action_is_history_and_a_label_on_it_the_target(tmp_path: Path) -> None:
    done, wanted, _ = moving_block.ACTIONS
    decisions = [Decision(done, by_user=True), Decision(done), Decision(done, label=wanted)]
    with RecordingWriter(tmp_path, RecordingInfo("mixed", "paper", "block", 20.0)) as writer:
        for index, decision in enumerate([None, *decisions]):
            writer.add(Frame(moving_block.picture(0, index), index * 50_000_000, index), decision)
    labels = load_dataset([tmp_path], P2P).labels(0, 0, 3)
    assert labels.learn_T.tolist() == [True, False, True]
    np.testing.assert_array_equal(labels.executed_TA, [P2P.encode(done)] * 3)
    np.testing.assert_array_equal(labels.target_TA[[0, 2]], [P2P.encode(done), P2P.encode(wanted)])


def test_no_recordings_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recordings"):
        load_dataset([tmp_path], P2P)
    with pytest.raises(UserError, match="no folder"):
        load_dataset([tmp_path / "missing"], P2P)


def test_a_damaged_recording_is_named_and_the_others_are_used(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root / "people", tmp_path / "r")
    before = load_dataset([tmp_path], P2P)
    capsys.readouterr()
    (tmp_path / "r" / "block-001" / "192x192.mp4").write_bytes(b"no video")
    after = load_dataset([tmp_path], P2P)
    assert {each.id for each in before.episodes} - {each.id for each in after.episodes} == {"block-001"}
    said = capsys.readouterr().err
    assert said.startswith(f"eyehand: left out: {tmp_path / 'r' / 'block-001'}")
    assert said.count("\n") == 1
