"""The last seconds of play are kept whole: right pictures, right labels, no more and no less."""

from __future__ import annotations

from eyehand.action import NOTHING
from eyehand.collect.instant_replay import InstantReplay
from eyehand.recording.reader import Recording
from eyehand.session import Session, Tick


class KeepAt:
    """Asks for the last seconds at a tick."""

    def __init__(self, ring, *at):
        self.ring, self.at = ring, at

    def on_start(self, start): ...

    def on_end(self, end): ...

    def on_tick(self, tick: Tick):
        if tick.index in self.at:
            self.ring.keep()


def test_what_is_kept_is_the_end_with_its_own_labels(tmp_path, echo_game, fidget, shown):
    ring = InstantReplay(tmp_path, user="human", seconds=2.0)
    Session(echo_game, fidget, [KeepAt(ring, 96), ring], instruction="Press keys.").run_episode(5, max_seconds=6.0)
    (path,) = ring.recordings
    with Recording.open(path) as kept:
        assert kept.num_frames == 97 - 40, "two seconds, and what is there of a third; whole seconds were dropped"
        frames = kept.decode_clip(0, kept.num_frames)
        assert shown(frames[0]) == shown(fidget.decisions[39].action)
        for index in range(kept.num_frames - 1):
            assert kept.executed(index) == fidget.decisions[40 + index].action
            assert shown(frames[index + 1]) == shown(kept.executed(index))
        assert kept.decode_captured(0, kept.num_frames).shape[0] == kept.num_frames
        assert set(kept.instructions) == {"Press keys."}
        assert kept.executed(kept.num_frames - 1) is None
        assert not kept.problems


def test_twice_kept_are_two_recordings_and_nothing_asked_for_is_none(tmp_path, echo_game, fidget):
    ring = InstantReplay(tmp_path / "a", user="human", seconds=1.0)
    Session(echo_game, fidget, [KeepAt(ring, 5, 30), ring]).run_episode(5, max_seconds=3.0)
    lengths = []
    for path in ring.recordings:
        with Recording.open(path) as kept:
            lengths.append(kept.num_frames)
    assert lengths == [6, 31]
    silent = InstantReplay(tmp_path / "b", user="human")
    Session(echo_game, fidget, [silent]).run_episode(5, max_seconds=1.0)
    assert silent.recordings == []
    assert not (tmp_path / "b").exists()


def test_a_wish_at_the_last_moment_is_granted(tmp_path, echo_game, fidget):
    ring = InstantReplay(tmp_path, user="human")
    Session(echo_game, fidget, [ring, KeepAt(ring, 19)]).run_episode(5, max_seconds=1.0)
    with Recording.open(ring.recordings[0]) as kept:
        assert kept.num_frames == 20
        assert kept.executed(0) != NOTHING
