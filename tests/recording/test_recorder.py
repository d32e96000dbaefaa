"""Sessions recorded and read back: labels are not shifted, roles are kept, pictures are what the network saw."""

import numpy as np
import pytest

from eyehand.action import NOTHING, Action
from eyehand.action_space import P2P
from eyehand.errors import UserError
from eyehand.frame import Frame, resize
from eyehand.game import Outcome, TaskInfo
from eyehand.input_event import InputEvent
from eyehand.player import Decision
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.recorder import Recorder
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick


@pytest.fixture
def recorded(tmp_path, echo_game, fidget):
    """An episode of 90 ticks and its recording."""
    recorder = Recorder(tmp_path, user="fidget")
    Session(echo_game, fidget, [recorder], instruction="Press keys.").run_episode(seed=5, max_seconds=4.5)
    return Recording.open(recorder.recordings[0])


def test_next_picture_shows_what_was_executed(recorded, shown):
    """The checks that labels are not shifted: frame i+1 shows what row i says was done on frame i."""
    frames = recorded.decode_clip(0, recorded.num_frames)
    assert recorded.num_frames == 90
    assert shown(frames[0]) == shown(NOTHING)
    for index in range(recorded.num_frames - 1):
        assert shown(frames[index + 1]) == shown(recorded.executed(index))
    assert recorded.executed(recorded.num_frames - 1) is None
    # The actions differ from tick to tick, so a shift by one either way cannot pass for right.
    assert sum(recorded.executed(i) != recorded.executed(i + 1) for i in range(88)) > 80


def test_labels_have_the_same_rows(recorded):
    labels = recorded.load_labels(P2P)
    assert len(labels) == recorded.num_frames
    for index in range(recorded.num_frames - 1):
        assert labels.executed_TA[index].tolist() == P2P.encode(recorded.executed(index)).tolist()
        user = recorded.user_action(index)
        assert labels.target_mask_T[index] == (user is not None)
        assert labels.target_TA[index].tolist() == P2P.encode(user or NOTHING).tolist()
    assert not labels.target_mask_T[-1]
    assert list(recorded.times_ns) == [index * 50_000_000 for index in range(90)]
    assert set(labels.instructions) == {"Press keys."}


def test_roles_are_kept(recorded, fidget):
    kinds = set()
    for index, decision in enumerate(fidget.decisions[:89]):
        assert recorded.executed(index) == decision.action
        expected = decision.action if decision.by_user else decision.label
        assert recorded.user_action(index) == expected
        message = recorded.annotations[index + 1]
        assert message.system_action.is_known != decision.by_user
        kinds.add((decision.by_user, decision.label is None))
    assert len(kinds) == 3


def test_simulated_events_hold_the_same_keys(recorded):
    held: set[str] = set()
    for index in range(recorded.num_frames - 1):
        dx = 0
        for event in recorded.events_before(index + 1):
            assert event.is_simulated
            if event.kind == "key":
                (held.add if event.is_pressed else held.remove)(event.name)
            elif event.kind == "mouse_delta":
                dx += event.x
        assert held == set(recorded.executed(index).keys)
        assert dx == recorded.executed(index).dx


def test_recorded_picture_is_the_live_one_up_to_the_codec(tmp_path):
    """Parity: what training reads is what live play sees."""
    rng = np.random.default_rng(1)
    coarse = (rng.integers(30, 196, (12, 40, 1)) + rng.integers(0, 60, (12, 40, 3))).astype(np.uint8)
    wide = np.kron(coarse, np.ones((20, 20, 1), np.uint8))
    start = EpisodeStart(_echo_task(), 0, None, 20.0, False, 0)
    recorder = Recorder(tmp_path, user="x")
    recorder.on_start(start)
    live = []
    for index in range(45):
        pixels = np.ascontiguousarray(wide[:, index * 4 : index * 4 + 320])
        live.append(resize(pixels))
        recorder.on_tick(_tick(index, pixels))
    recorder.on_end(_end())
    recording = Recording.open(recorder.recordings[0])
    error = recording.decode_clip(0, 45).astype(np.float64) - np.stack(live)
    psnr = 10 * np.log10(255**2 / np.mean(error**2, axis=(1, 2, 3)))
    assert psnr.min() > 30
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 1.5  # colours are not shifted
    flat = np.abs(error[:, 8:-8, 8:-8]).reshape(45, -1)
    assert np.median(flat) <= 3
    assert recording.decode_captured(44, 1).shape == (1, 240, 320, 3)
    # The neighbouring live frame is clearly further away: no picture is shifted either.
    other = recording.decode_clip(1, 44).astype(np.float64) - np.stack(live[:-1])
    assert np.mean(other**2) > 3 * np.mean(error**2)


def test_each_episode_gets_a_folder_and_its_outcome(tmp_path, echo_game, fidget):
    recorder = Recorder(tmp_path, user="fidget")
    session = Session(echo_game, fidget, [recorder])
    session.run_episode(seed=1, max_seconds=0.5)
    session.run_episode(seed=2, max_seconds=1.0)
    first, second = (Recording.open(path) for path in recorder.recordings)
    assert find_recordings(tmp_path) == sorted(recorder.recordings)
    assert (first.num_frames, second.num_frames) == (10, 20)
    assert (first.info.seed, second.info.seed) == (1, 2)
    assert (first.info.env, first.info.env_subtype, first.info.user) == ("echo", "show", "fidget")
    assert first.outcome == {"acts": 10.0, "score": 10.0, "done": 0.0, "aborted": 0.0}
    assert first.problems == ()
    assert not first.is_cut_off
    assert set(first.instructions) == {None}


def test_an_episode_that_fails_is_closed_and_marked(tmp_path, echo_game, fidget):
    class FailureError(Exception):
        pass

    class Fails:
        def on_start(self, start): ...

        def on_tick(self, tick):
            if tick.index == 6:
                raise FailureError

        def on_end(self, end): ...

    recorder = Recorder(tmp_path, user="fidget")
    with pytest.raises(FailureError):
        Session(echo_game, fidget, [recorder, Fails()]).run_episode(seed=1)
    recording = Recording.open(recorder.recordings[0])
    assert recording.num_frames == 7
    assert recording.outcome["aborted"] == 1.0


def test_what_the_loop_did_by_itself_is_nobodys_choice(tmp_path):
    recorder = Recorder(tmp_path, user="policy")
    recorder.on_start(EpisodeStart(_echo_task(), 0, None, 20.0, True, 0))
    held = Action.of(["w"])
    recorder.on_tick(_tick(0, executed=held, decision=None))
    recorder.on_tick(_tick(1, executed=NOTHING, decision=Decision(held, by_user=True)))
    recorder.on_tick(_tick(3))
    recorder.on_end(_end())
    recording = Recording.open(recorder.recordings[0])
    assert (recording.executed(0), recording.user_action(0)) == (held, None)
    assert (recording.executed(1), recording.user_action(1)) == (NOTHING, held)
    assert recording.times_ns == (0, 7, 21)  # a real-time game: when the pictures were captured


def test_real_events_are_kept_and_those_before_the_episode_are_not(tmp_path):
    pending = [[InputEvent(1, "key", "x", True)], [], [InputEvent(5, "key", "w", True)], [InputEvent(9, "wheel", y=-2)]]
    recorder = Recorder(tmp_path, user="human", take_events=lambda: pending.pop(0))
    recorder.on_start(EpisodeStart(_echo_task(), 0, None, 20.0, True, 0))
    for index in range(3):
        recorder.on_tick(_tick(index))
    recorder.on_end(_end())
    recording = Recording.open(recorder.recordings[0])
    events = [recording.events_before(index) for index in range(3)]
    assert events == [[], [InputEvent(5, "key", "w", True)], [InputEvent(9, "wheel", y=-2)]]


def test_an_episode_without_a_tick_leaves_nothing_behind(tmp_path):
    recorder = Recorder(tmp_path / "data", user="x")
    recorder.on_start(EpisodeStart(_echo_task(), 0, None, 20.0, False, 0))
    recorder.on_end(_end())
    assert recorder.recordings == []
    with pytest.raises(UserError, match="no folder"):
        find_recordings(tmp_path / "data")


def _echo_task():
    return TaskInfo("echo/show", "echo", "show", ("Press keys.", "Do anything."), 10.0, "actions")


def _tick(index, pixels=None, executed=NOTHING, decision=Decision(NOTHING)):  # noqa: B008  # frozen
    pixels = np.full((240, 320, 3), 90, np.uint8) if pixels is None else pixels
    return Tick(index, Frame(pixels, index * 7, index), None, decision, executed, Outcome())


def _end():
    return EpisodeEnd(Outcome(), 0, 0, 0, 0, 0.0, False)
