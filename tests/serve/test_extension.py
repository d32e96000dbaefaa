"""What a client gets that says Hello."""

from __future__ import annotations

import numpy as np
import pytest
from serving import Gated, Serve, Sum
from talker import frame, grey, noise, packed

from eyehand.action import Action
from eyehand.action_space import P2P
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION, Frame
from eyehand.player import Decision, Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.recording.format import action_to_message
from eyehand.wire import extended_pb2
from eyehand.wire.messages import MAX_INSTRUCTION, action_of

TOKEN = "0123456789abcdef"
PUSHED = Action.of(["w", "d"], ["0"], dx=120, dy=-3)


def test_the_welcome_says_what_is_served(serve: Serve) -> None:
    with serve(lambda: Sum([])).talker() as client:
        welcome = client.hello(version=7, client="a test").welcome
        assert (welcome.version, welcome.checkpoint, welcome.fps) == (1, "tiny", 20.0)
        assert (welcome.frame_size, welcome.resize_version) == (32, RESIZE_VERSION)
        space = welcome.action_space
        assert (space.name, tuple(space.keys), space.num_key_slots) == ("p2p", P2P.keys, 4)
        assert (tuple(space.buttons), space.num_button_slots, space.has_scroll) == (("0", "1", "2"), 2, False)


def test_episodes_instructions_and_what_was_executed(serve: Serve, model: PolicyPlayer) -> None:
    """Everything that the extension can say, frame by frame, beside a player on this machine."""
    reset = extended_pb2.Reset(seed=11)
    script: list[dict[str, object]] = [
        {"reset": extended_pb2.Reset(seed=3), "instruction": "turn left"},
        {"executed": action_to_message(PUSHED)},
        {},
        {"executed": action_to_message(Action.of(dx=-40)), "instruction": "turn right"},
        {"reset": reset, "instruction": ""},
        {},
    ]
    here, got, expected = model.sibling(), [], []
    instruction: str | None = None
    with serve(model.sibling).talker() as client:
        client.hello()
        for index, fields in enumerate(script):
            client.say(noise(index), id=index, **fields)
            got.append(action_of(client.hear()))
            if "reset" in fields:
                here.reset(11 if fields["reset"] is reset else 3)
            instruction = str(fields.get("instruction", instruction or "")) or None
            executed = (expected or [Action()])[-1]
            if "executed" in fields:
                executed = PUSHED if index == 1 else Action.of(dx=-40)
            expected.append(here.act(Observation(Frame(noise(index), 0), instruction, executed)).action)
    assert got == expected


def test_what_is_said_without_a_picture_holds_for_the_next_one(serve: Serve) -> None:
    told: list[Observation | int] = []
    with serve(lambda: Sum(told)).talker() as client:
        client.hello()
        client.say(grey(0), id=1)
        client.hear()
        client.say(reset=extended_pb2.Reset(seed=9))
        client.say(instruction="jump")
        client.say(grey(0), id=2)
        assert client.hear().mouse_action.mouse_delta_px.x == 1  # the sum begins again
    assert [seen if isinstance(seen, int) else seen.instruction for seen in told] == [0, None, 9, "jump"]


def test_a_heartbeat_is_answered_while_the_model_thinks_and_dropped_frames_leave_their_past(serve: Serve) -> None:
    player = Gated([])
    with serve(lambda: player).talker() as client:
        client.hello()
        client.say(grey(1), id=1, captured_ns=10)
        assert player.thinks.acquire(timeout=60)
        client.say(grey(2), id=2, captured_ns=20, executed=action_to_message(Action.of(["a"], dx=5)))
        client.say(grey(3), id=3, captured_ns=30, executed=action_to_message(Action.of(["d"], dx=6)))
        client.say(heartbeat=77)
        assert client.hear().heartbeat == 77
        player.may_go.release()
        player.may_go.release()
        first, second = client.hear(), client.hear()
    assert (first.id, first.timing.captured_ns, first.timing.num_dropped) == (1, 10, 0)
    assert (second.id, second.timing.captured_ns, second.timing.num_dropped) == (3, 30, 1)
    assert player.told[-1] == Observation(player.told[-1].frame, None, Action.of(["d"], dx=11))  # type: ignore[union-attr]


def test_a_dropped_frame_that_began_an_episode_still_begins_it(serve: Serve) -> None:
    player = Gated([])
    with serve(lambda: player).talker() as client:
        client.hello()
        client.say(grey(1), id=1)
        assert player.thinks.acquire(timeout=60)
        client.say(grey(2), id=2, reset=extended_pb2.Reset(seed=5))
        client.say(grey(3), id=3)
        client.say(heartbeat=1)
        client.hear()
        player.may_go.release()
        player.may_go.release()
        assert [client.hear().id for _ in range(2)] == [1, 3]
    assert [seen for seen in player.told if isinstance(seen, int)] == [0, 5]


def test_every_answer_says_where_its_time_went(serve: Serve, model: PolicyPlayer) -> None:
    with serve(model.sibling).talker() as client:
        client.hello()
        client.say(noise(0), id=1)
        timing = client.hear().timing
    assert set(timing.stage_ms) == {"resize", "vision", "backbone", "decoder"}
    assert timing.wait_ms >= 0
    assert timing.decide_ms >= sum(timing.stage_ms.values()) > 0


def test_the_instruction_of_the_server_is_for_those_who_say_nothing(serve: Serve) -> None:
    told: list[Observation | int] = []
    running = serve(lambda: Sum(told), instruction="wait")
    with running.talker() as plain, running.talker() as extended:
        plain.show(1, grey(0))
        plain.answer()
        extended.hello()
        extended.say(grey(0), id=1)
        extended.hear()
        extended.say(grey(0), id=2, instruction="")
        extended.hear()
    assert [seen.instruction for seen in told if isinstance(seen, Observation)] == ["wait", "wait", None]


def test_with_a_token_nobody_is_heard_who_does_not_have_it(serve: Serve) -> None:
    told: list[Observation | int] = []
    running = serve(lambda: Sum(told), token=TOKEN, tcp=True)
    for token in ("", TOKEN[:-1], TOKEN + "0"):
        with running.talker() as client:
            parting = client.hello(token=token).parting
            assert (parting.is_final, "token" in parting.reason) == (True, True)
            assert client.is_ended()
    with running.talker() as client:
        client.show(1, grey(0))
        assert client.is_ended()
    with running.talker() as client:  # no room for a picture before the greeting
        client.socket.sendall(packed(frame(1, noise(0)))[:100])
        assert client.is_ended()
    assert not told
    with running.talker() as client:
        assert client.hello(token=TOKEN).HasField("welcome")
        client.say(noise(0), id=1)
        assert client.hear().id == 1


def test_with_a_token_silence_ends(serve: Serve) -> None:
    with serve(lambda: Sum([]), token=TOKEN, tcp=True, greeting_s=0.01).talker() as client:
        assert client.is_ended()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hello": extended_pb2.Hello(version=1)}, "second Hello"),
        ({"instruction": "x" * (MAX_INSTRUCTION + 1)}, "instruction"),
        ({"width": 3, "height": 3, "data": b"123"}, "3 x 3 pixels with 3 bytes"),
        ({"width": -1, "height": -1, "data": b"123"}, "pixels"),
    ],
)
def test_nonsense_is_told_why_the_connection_ends(serve: Serve, fields: dict[str, object], reason: str) -> None:
    with serve(lambda: Sum([])).talker() as client:
        client.hello()
        client.say(**fields)
        parting = client.hear().parting
        assert parting.is_final
        assert reason in parting.reason
        assert client.is_ended()


def test_a_hello_without_a_version_ends(serve: Serve) -> None:
    with serve(lambda: Sum([])).talker() as client:
        assert client.hello(version=0).parting.is_final
        assert client.is_ended()


class Choosy(Sum):
    """Fails in two ways."""

    def act(self, observation: Observation) -> Decision:
        if observation.instruction == "whistle":
            raise UserError("It cannot whistle: ask for something else.")
        if np.all(observation.frame.pixels == 13):
            raise RuntimeError("thirteen")
        return super().act(observation)


def test_a_failure_ends_one_connection_with_a_reason_and_no_other(serve: Serve) -> None:
    running = serve(lambda: Choosy([]))
    with running.talker() as whistler, running.talker() as unlucky, running.talker() as other:
        for client in (whistler, unlucky, other):
            client.hello()
        whistler.say(grey(0), id=1, instruction="whistle")
        parting = whistler.hear().parting
        assert (parting.reason, parting.is_final) == ("It cannot whistle: ask for something else.", True)
        unlucky.say(grey(13), id=1)
        assert unlucky.hear().parting == extended_pb2.Parting(reason="the model failed", is_final=False)
        assert whistler.is_ended()
        assert unlucky.is_ended()
        other.say(grey(0), id=1)
        assert other.hear().id == 1


def test_who_is_connected_at_the_end_may_come_back(serve: Serve) -> None:
    running = serve(lambda: Sum([]))
    with running.talker() as client, running.talker() as plain:
        client.hello()
        plain.show(1, grey(0))
        plain.answer()
        running.stop()
        assert client.hear().parting == extended_pb2.Parting(reason="the server ends", is_final=False)
        assert client.is_ended()
        assert plain.is_ended()
    assert running.address.path is not None
    assert not running.address.path.exists()
