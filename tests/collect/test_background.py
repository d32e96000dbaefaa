"""Work beside the loop: all of it, in order, and no failure is lost."""

from __future__ import annotations

import threading

import pytest

from eyehand.collect.background import BackgroundObserver
from eyehand.errors import UserError
from eyehand.recording.reader import Recording
from eyehand.recording.recorder import Recorder
from eyehand.session import Session


class Failing:
    """Fails at a tick, and is told of the end all the same."""

    def __init__(self, at):
        self.at, self.ended, self.threads = at, [], set()

    def on_start(self, start): ...

    def on_tick(self, tick):
        self.threads.add(threading.current_thread())
        if tick.index == self.at:
            raise UserError("The disk is full.")

    def on_end(self, end):
        self.ended.append(end)


def test_a_recording_made_beside_the_loop_is_the_same(tmp_path, echo_game, fidget, shown):
    recorder = Recorder(tmp_path, user="fidget")
    background = BackgroundObserver(recorder)
    session = Session(echo_game, fidget, [background])
    for seed in (5, 6):
        session.run_episode(seed, max_seconds=3.0)
    assert background.cpu_s > 0
    for path in recorder.recordings:
        with Recording.open(path) as made:
            assert made.num_frames == 60
            frames = made.decode_clip(0, 60)
            assert all(shown(frames[index + 1]) == shown(made.executed(index)) for index in range(59))


@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_failure_reaches_the_loop_and_the_end_is_told(echo_game, fidget, at):
    failing = Failing(at)
    with pytest.raises(UserError, match="The disk is full"):
        Session(echo_game, fidget, [BackgroundObserver(failing)]).run_episode(5, max_seconds=1.0)
    assert [end.is_aborted for end in failing.ended] == [True], "what came after the failure is missing"
    assert threading.current_thread() not in failing.threads
    assert not any(thread.is_alive() for thread in failing.threads)


@pytest.mark.parametrize("seconds", [1.0, 10.0])  # at the end, and with a full queue
def test_work_that_hangs_ends_the_session_and_is_told_nothing_more(seconds, echo_game, fidget, monkeypatch):
    goes_on, calls = threading.Event(), []

    class Hanging(Failing):
        def on_tick(self, tick):
            calls.append(tick.index)
            assert goes_on.wait(60)

    monkeypatch.setattr("eyehand.collect.background._PATIENCE_S", 0.05)
    hanging = Hanging(0)
    session = Session(echo_game, fidget, [BackgroundObserver(hanging)])
    for _ in range(2):  # nor does another episode begin
        with pytest.raises(UserError, match="has not gone on"):
            session.run_episode(5, max_seconds=seconds)
    assert (calls, hanging.ended) == ([0], [])
    goes_on.set()
