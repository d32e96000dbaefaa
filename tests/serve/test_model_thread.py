"""Turns at the model: who waits for whom, and what becomes of those who leave."""

from __future__ import annotations

import gc
import queue
import weakref

from serving import Gated
from talker import grey

from eyehand.action import Action
from eyehand.serve.model_thread import Answer, Mailbox, ModelThread, Request


def request(frame_id: int, executed: Action | None = None, seed: int | None = None) -> Request:
    return Request(frame_id, grey(frame_id), arrived_ns=0, executed=executed, seed=seed)


def test_nobody_has_a_second_turn_before_all_others_had_theirs() -> None:
    player, answers = Gated([]), queue.Queue[Answer]()
    with ModelThread(lambda: player) as model:
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

    with ModelThread(new_player) as model:
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
        gc.collect()
        assert [player() is None for player in players] == [True, False]
        assert answers.empty()
