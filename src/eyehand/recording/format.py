"""The P2P recording format: names of files, and our types to and from the messages of `annotation.proto`.

    <id>/video.mp4         the picture as captured, at most 480 lines
    <id>/192x192.mp4       the picture as the network sees it (`frame.resize`)
    <id>/annotation.proto  one serialized VideoAnnotation

Annotation i holds what was executed between frame i-1 and frame i, so what was done ON frame i is in annotation i+1.
Knows nothing about video codecs, games or networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eyehand.action import Action, Gamepad, Stick
from eyehand.clock import FPS
from eyehand.input_event import EventKind, InputEvent
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb

__all__ = ["ANNOTATION_FILE", "CAPTURED_FILE", "FINISHED", "MAX_FRAMES", "SMALL_FILE", "STARTED", "RecordingInfo"]
__all__ += ["action_from_message", "action_to_message", "annotate", "event_from_message", "event_to_message"]

ANNOTATION_FILE = "annotation.proto"
CAPTURED_FILE = "video.mp4"
SMALL_FILE = "192x192.mp4"

MAX_FRAMES = 24 * 3600 * 60
"""Frames of the longest recording that is read: a day at 60 per second."""

STARTED = "eyehand.started"
"""Change id of the entry that our writer makes first; its description is JSON with `seed`, `note` and `writer`."""

FINISHED = "eyehand.finished"
"""Change id of the entry that closes a recording; its description is JSON with `num_frames` and the `outcome`.

A recording that was started but not finished was cut off, by a crash, a full disk or a failure of what was recorded; it
is valid as far as it goes. One whose `outcome` has `aborted` 1 is whole; Ctrl-C or a failure beside it ended the play.
"""

_MOST_HELD = 256
_PAD_BUTTONS = tuple(field.name for field in pb.GamePadButtons.DESCRIPTOR.fields)


@dataclass(frozen=True)
class RecordingInfo:
    """The metadata of a recording.

    Attributes:
        id: unique, also the name of its folder.
        env: the game (`doom`), env_subtype the task in it (`aim`), env_version the game's version.
        fps: frames per second of game time.
        user: who played ("human", the name of a demonstrator, of a checkpoint).
        tasks: the task in words.
        created_s: unix time of its start.
        seed: of the episode, where there is one.
        os: the operating system it was recorded on.
        note: of the person who made it, about the whole.
    """

    id: str
    env: str
    env_subtype: str
    fps: float
    user: str = ""
    tasks: tuple[str, ...] = ()
    env_version: str = ""
    created_s: int = 0
    seed: int | None = None
    os: str = ""
    note: str = ""

    def to_message(self) -> pb.Metadata:
        return pb.Metadata(
            id=self.id,
            timestamp=self.created_s,
            user=self.user,
            tasks=self.tasks,
            frames_per_second=self.fps,
            env=pb.Env(env=self.env, env_subtype=self.env_subtype, env_version=self.env_version),
            capture_device_specs=pb.CaptureDeviceSpecs(os=self.os),
        )

    @staticmethod
    def from_message(message: pb.Metadata, seed: int | None = None, note: str = "") -> RecordingInfo:
        return RecordingInfo(
            id=message.id,
            env=message.env.env,
            env_subtype=message.env.env_subtype,
            env_version=message.env.env_version,
            fps=message.frames_per_second or FPS,
            user=message.user,
            tasks=tuple(message.tasks),
            created_s=message.timestamp,
            seed=seed,
            os=message.capture_device_specs.os,
            note=note,
        )


def action_to_message(action: Action) -> pb.LowLevelAction:
    """The Action as a LowLevelAction with `is_known`."""
    message = pb.LowLevelAction(is_known=True)
    message.keyboard.keys.extend(sorted(action.keys))
    mouse = message.mouse
    mouse.mouse_delta_px.x, mouse.mouse_delta_px.y = action.dx, action.dy
    if action.scroll_dx or action.scroll_dy:
        mouse.scroll_delta_px.x, mouse.scroll_delta_px.y = action.scroll_dx, action.scroll_dy
    mouse.buttons_down.extend(sorted(action.buttons))
    if action.gamepad is not None:
        message.game_pad.CopyFrom(_gamepad_to_message(action.gamepad))
    return message


def action_from_message(message: pb.LowLevelAction) -> Action | None:
    """The Action of a message; None unless `is_known`. Names of keys and buttons are not checked.

    Raises:
        ValueError: it holds more than anybody can, or a number that is not finite.
    """
    if not message.is_known:
        return None
    held = (message.keyboard.keys, message.mouse.buttons_down, message.mouse_deprecated.buttons)
    if any(len(names) > _MOST_HELD for names in held):
        raise ValueError(f"an action holds more than {_MOST_HELD} keys or buttons")
    keys = frozenset(message.keyboard.keys)
    gamepad = _gamepad_from_message(message.game_pad) if message.HasField("game_pad") else None
    if not message.HasField("mouse") and message.HasField("mouse_deprecated"):
        old = message.mouse_deprecated
        dx, dy = _finite(old.dx, old.dy)
        return Action(keys, frozenset(map(str, old.buttons)), round(dx), round(dy), gamepad=gamepad)
    mouse = message.mouse
    moved, scrolled = mouse.mouse_delta_px, mouse.scroll_delta_px
    return Action(keys, frozenset(mouse.buttons_down), moved.x, moved.y, scrolled.x, scrolled.y, gamepad)


def annotate(message: pb.FrameAnnotation, executed: Decision) -> None:
    """Write what was executed before a frame into its annotation.

    A user's action is its `user_action`. Any other is its `system_action`, with the label (what the user would have
    done) as `user_action`, if there is one.
    """
    if executed.by_user:
        message.user_action.CopyFrom(action_to_message(executed.action))
        return
    message.system_action.CopyFrom(action_to_message(executed.action))
    if executed.label is None:
        message.user_action.is_known = False
        message.user_action.SetInParent()
    else:
        message.user_action.CopyFrom(action_to_message(executed.label))


def event_to_message(event: InputEvent, start_ns: int = 0) -> pb.InputEvent:
    """The message of an event, its time counted from `start_ns` (never negative)."""
    message = pb.InputEvent(time=max(0, event.time_ns - start_ns), simulated=event.is_simulated)
    match event.kind:
        case "key":
            message.keyboard_event.key, message.keyboard_event.pressed = event.name, event.is_pressed
        case "button":
            message.mouse_event.button, message.mouse_event.pressed = event.name, event.is_pressed
        case "mouse_delta":
            message.mouse_delta_event.x, message.mouse_delta_event.y = event.x, event.y
        case "mouse_position":
            message.mouse_move_event.x, message.mouse_move_event.y = event.x, event.y
        case "wheel":
            message.wheel_event.x, message.wheel_event.y = event.x, event.y
        case "gamepad_button":
            message.game_pad_button_event.button = event.name
            message.game_pad_button_event.pressed = event.is_pressed
        case "gamepad_axis":
            message.game_pad_axis_event.axis, message.game_pad_axis_event.value = event.name, event.value
        case "gamepad_trigger":
            message.game_pad_trigger_event.trigger = event.name
            message.game_pad_trigger_event.value = event.value
    return message


def event_from_message(message: pb.InputEvent) -> InputEvent | None:
    """The event of a message; None for a kind that this version does not know."""
    time_ns, is_simulated = message.time, message.simulated
    match message.WhichOneof("event"):
        case "keyboard_event":
            key = message.keyboard_event
            return InputEvent(time_ns, "key", key.key, key.pressed, is_simulated=is_simulated)
        case "mouse_event":
            button = message.mouse_event
            return InputEvent(time_ns, "button", button.button, button.pressed, is_simulated=is_simulated)
        case "mouse_delta_event":
            return _motion(time_ns, "mouse_delta", message.mouse_delta_event, is_simulated)
        case "mouse_move_event":
            return _motion(time_ns, "mouse_position", message.mouse_move_event, is_simulated)
        case "wheel_event":
            return _motion(time_ns, "wheel", message.wheel_event, is_simulated)
        case "game_pad_button_event":
            pad = message.game_pad_button_event
            return InputEvent(time_ns, "gamepad_button", pad.button, pad.pressed, is_simulated=is_simulated)
        case "game_pad_axis_event":
            axis = message.game_pad_axis_event
            return InputEvent(time_ns, "gamepad_axis", axis.axis, value=axis.value, is_simulated=is_simulated)
        case "game_pad_trigger_event":
            trigger = message.game_pad_trigger_event
            return InputEvent(
                time_ns, "gamepad_trigger", trigger.trigger, value=trigger.value, is_simulated=is_simulated
            )
    return None


def _motion(time_ns: int, kind: EventKind, vector: pb.Vec2Int, is_simulated: bool) -> InputEvent:
    return InputEvent(time_ns, kind, x=vector.x, y=vector.y, is_simulated=is_simulated)


def _gamepad_to_message(gamepad: Gamepad) -> pb.GamePad:
    return pb.GamePad(
        buttons=pb.GamePadButtons(**_flags(gamepad.buttons)),
        left_stick=_stick_to_message(gamepad.left_stick),
        right_stick=_stick_to_message(gamepad.right_stick),
        left_trigger=gamepad.left_trigger,
        right_trigger=gamepad.right_trigger,
    )


def _flags(buttons: Iterable[str]) -> dict[str, bool]:
    return {name: True for name in buttons if name in _PAD_BUTTONS}


def _stick_to_message(stick: Stick) -> pb.Stick:
    return pb.Stick(x=stick.x, y=stick.y, pressed=stick.pressed)


def _gamepad_from_message(message: pb.GamePad) -> Gamepad:
    left, right = message.left_stick, message.right_stick
    _finite(left.x, left.y, right.x, right.y, message.left_trigger, message.right_trigger)
    return Gamepad(
        frozenset(name for name in _PAD_BUTTONS if getattr(message.buttons, name)),
        Stick(left.x, left.y, left.pressed),
        Stick(right.x, right.y, right.pressed),
        message.left_trigger,
        message.right_trigger,
    )


def _finite(*values: float) -> tuple[float, ...]:
    """The values; those of a recording are in 32 bits, and a NaN is of none."""
    if not all(abs(value) < 1 << 31 for value in values):
        raise ValueError(f"an action has the numbers {', '.join(map(str, values))}")
    return values
