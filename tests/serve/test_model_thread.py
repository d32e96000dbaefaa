"""Turns at the model: who waits for whom, and what becomes of those who leave."""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
import weakref
from functools import partial

import numpy as np
from numpy.typing import NDArray
from serving import Gated, Sum
from talker import grey

from eyehand.action import Action
from eyehand.frame import resize
from eyehand.player import Observation
from eyehand.serve.model_thread import Answer, Mailbox, ModelThread, Request

SHRINK = partial(resize, size=32)


def request(frame_id: int, executed: Action | None = None, seed: int | None = None) -> Request:
    return Request(frame_id, grey(frame_id), arrived_ns=0, executed=executed, seed=seed)


def test_nobody_has_a_second_turn_before_all_others_had_theirs() -> None:
    player, answers = Gated([]), queue.Queue[Answer]()
    with ModelThread(lambda: player, SHRINK) as model:
        first, second, third = (model.mailbox(answers.put, lambda error: None) for _ in range(3))
        first.put(request(1))
        assert player.thinks.acquire(timeout=60)
        first.put(request(10))  # waits behind those who come now
        second.put(request(2))
        first.put(request(11))  # takes the place of 10 in the queue
        third.put(request(3))
        second.put(request(20))
        player.may_go.release(4)
        assert [answers.get(timeout=60).request.frame_id for _ in range(4)] == [1, 11, 20, 3]
        first.put(request(12))
        for _ in range(4):
            assert player.thinks.acquire(timeout=60)
        second.put(request(21))
        first.put(request(13))
        player.may_go.release(3)
        assert [answers.get(timeout=60).request.frame_id for _ in range(3)] == [12, 21, 13]


def test_what_a_dropped_request_knew_of_the_past_is_kept() -> None:
    pushed, pulled = Action.of(["w"], dx=2), Action.of(["s"], dx=3)
    newest = request(3, pulled).replacing(request(2, pushed).replacing(request(1, seed=5)))
    assert (newest.frame_id, newest.executed, newest.seed, newest.num_dropped) == (3, Action.of(["s"], dx=5), 5, 2)
    begun = request(3, pulled, seed=6).replacing(request(2, pushed, seed=5))
    assert (begun.executed, begun.seed, begun.num_dropped) == (pulled, 6, 1)  # the past was another episode's


def test_who_leaves_gets_no_answer_and_leaves_nothing_behind() -> None:
    players: list[weakref.ref[Gated]] = []
    thinking, answers = Gated([]), queue.Queue[Answer]()

    def new_player() -> Gated:
        player = Gated([])
        player.thinks, player.may_go = thinking.thinks, thinking.may_go
        players.append(weakref.ref(player))
        return player

    def mailbox() -> Mailbox:
        return model.mailbox(answers.put, lambda error: None)

    gc.disable()
    with contextlib.ExitStack() as stack:
        stack.callback(gc.enable)
        model = stack.enter_context(ModelThread(new_player, SHRINK))
        leaving, waiting, staying = mailbox(), mailbox(), mailbox()
        leaving.put(request(1))
        assert thinking.thinks.acquire(timeout=60)
        waiting.put(request(2))
        leaving.close()
        waiting.close()
        waiting.put(request(2))
        staying.put(request(3))
        thinking.may_go.release(2)
        assert answers.get(timeout=60).request.frame_id == 3
        assert [player() is None for player in players] == [True, False]
        assert answers.empty()


class Gate:
    """`frame.resize` that says when it begins and then waits for permission."""

    def __init__(self) -> None:
        self.begins, self.may_go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.begins.release()
        assert self.may_go.acquire(timeout=60)
        return SHRINK(pixels)


def test_nobody_waits_for_anothers_large_pictures() -> None:
    told: list[Observation | int] = []
    gate, answers, large = Gate(), queue.Queue[Answer](), grey(200, 1080, 1921)

    def answered() -> int:
        return answers.get(timeout=60).request.frame_id

    with ModelThread(lambda: Sum(told), gate) as model:
        first, second, other = (model.mailbox(answers.put, lambda error: None) for _ in range(3))
        first.put(Request(1, large, arrived_ns=0))
        assert gate.begins.acquire(timeout=60)
        for frame_id in (2, 3, 4):  # the newest wins, and a small one waits for its turn behind the large one
            first.put(Request(frame_id, grey(0) if frame_id == 4 else large, arrived_ns=0))
        second.put(Request(20, large, arrived_ns=0))
        for frame_id in range(100, 120):
            other.put(request(frame_id))
            assert answered() == frame_id
        gate.may_go.release()
        assert answered() == 1
        gate.may_go.release(2)
        assert sorted([answered(), answered()]) == [4, 20]
    shapes = {seen.frame.pixels.shape for seen in told if isinstance(seen, Observation)}
    assert shapes == {(32, 32, 3), (4, 4, 3)}, "no large picture comes to the model"


def test_a_picture_that_cannot_be_shrunk_ends_its_own_client_only() -> None:
    def fail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise MemoryError

    answers, failures = queue.Queue[Answer](), queue.Queue[Exception]()
    with ModelThread(lambda: Sum([]), fail) as model:
        one, other = (model.mailbox(answers.put, failures.put) for _ in range(2))
        one.put(Request(1, grey(0, 1080, 1921), arrived_ns=0))
        assert isinstance(failures.get(timeout=60), MemoryError)
        other.put(request(2))
        assert answers.get(timeout=60).request.frame_id == 2
