"""A person's play, tick by tick: nothing is lost, nothing counted twice, nothing heard that is nobody's business."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from eyehand.action import Action
from eyehand.input_event import HOTKEY, InputEvent
from eyehand.players.human import HumanPlayer
from eyehand.recording.events import keys_from_events


def _key(time_ns: int, name: str, is_pressed: bool = True, is_simulated: bool = False) -> InputEvent:
    return InputEvent(time_ns, "key", name, is_pressed, is_simulated=is_simulated)


def _begin(person: HumanPlayer, time_ns: int = 0) -> None:
    person.reset(0)
    person.start_at(time_ns)
    assert person.next_events() == person.next_events() == [], "nothing before the episode and the first picture"


def _tick(person: HumanPlayer, until_ns: int) -> tuple[Action, list[InputEvent]]:
    decision, executed = person.executed_action(None, Action(), until_ns)
    assert decision is not None
    assert decision.by_user
    assert decision.action == executed
    return executed, person.next_events()


def test_what_was_done_is_told_with_its_events() -> None:
    person = HumanPlayer()
    _begin(person)
    events = [_key(10, "w"), InputEvent(20, "mouse_delta", x=3, y=-1), _key(30, "w", False), _key(60, "d")]
    for event in events:
        person.hear(event)
    assert _tick(person, 50) == (Action.of("w", dx=3, dy=-1), events[:3])
    assert _tick(person, 100) == (Action.of("d"), events[3:])
    assert _tick(person, 150) == (Action.of("d"), [])


def test_what_software_does_and_hotkeys_are_recorded_and_not_the_persons() -> None:
    person = HumanPlayer()
    _begin(person)
    events = [_key(1, "w", is_simulated=True), _key(2, HOTKEY + "pause"), _key(3, "KeyCode79")]
    for event in events:
        person.hear(event)
    action, heard = _tick(person, 50)
    assert heard == events
    assert action == Action(), "a key without a name is in no action either"


def test_what_is_done_elsewhere_is_forgotten_but_for_what_is_held() -> None:
    person = HumanPlayer()
    person.hold(frozenset({"a"}), frozenset({"0"}))
    _begin(person)
    assert _tick(person, 50)[0] == Action.of("a", "0")
    person.stop()
    for event in (_key(60, "s"), _key(61, "s", False), _key(62, "LeftShift"), InputEvent(63, "mouse_delta", x=500)):
        person.hear(event)
    person.reset(0)
    person.hear(_key(70, "e"))
    person.hear(InputEvent(71, "mouse_delta", x=400))
    person.start_at(80)
    assert person.next_events() == person.next_events() == []
    assert _tick(person, 130) == (Action.of(("a", "LeftShift", "e"), "0"), [])


def test_whoever_is_late_to_hear_waits() -> None:
    """What has happened and was not yet heard is heard before a tick is told."""
    person = HumanPlayer()
    _begin(person)
    person.catch_up = lambda: person.hear(_key(40, "w"))
    assert _tick(person, 50) == (Action.of("w"), [_key(40, "w")])


_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 499),
        st.one_of(
            st.tuples(st.just("key"), st.sampled_from(("w", "d", "LeftShift")), st.booleans()),
            st.tuples(st.just("mouse_delta"), st.integers(-50, 50), st.integers(-50, 50)),
        ),
    ),
    max_size=60,
)


@settings(max_examples=100)
@given(_EVENTS)
def test_ticks_add_up_to_the_events(drawn: list[tuple[int, tuple[str, object, object]]]) -> None:
    """The motion of all ticks is that of all events, and keys are those that a reader of the events finds."""
    events: list[InputEvent] = []
    held: set[str] = set()
    for time_ns, what in sorted(drawn, key=lambda item: item[0]):
        if what[0] != "key":
            events.append(InputEvent(time_ns, "mouse_delta", x=int(str(what[1])), y=int(str(what[2]))))
        elif (str(what[1]) in held) is not bool(what[2]):  # a key that is down cannot go down
            events.append(_key(time_ns, str(what[1]), bool(what[2])))
            held ^= {str(what[1])}
    person = HumanPlayer()
    _begin(person)
    for event in events:
        person.hear(event)
    told = [_tick(person, end_ns) for _, end_ns in pairwise(range(0, 501, 50))]
    assert [event for _, heard in told for event in heard] == events
    assert sum(action.dx for action, _ in told) == sum(event.x for event in events)
    assert sum(action.dy for action, _ in told) == sum(event.y for event in events)
    assert [action.keys for action, _ in told] == keys_from_events([heard for _, heard in told])
