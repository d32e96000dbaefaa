from eyehand.recording import annotation_pb2 as _annotation_pb2
from eyehand.wire import live_pb2 as _live_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientMessage(_message.Message):
    __slots__ = ("width", "height", "data", "id", "hello", "executed", "instruction", "reset", "captured_ns", "heartbeat")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_NS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    data: bytes
    id: int
    hello: Hello
    executed: _annotation_pb2.LowLevelAction
    instruction: str
    reset: Reset
    captured_ns: int
    heartbeat: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., data: _Optional[bytes] = ..., id: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., executed: _Optional[_Union[_annotation_pb2.LowLevelAction, _Mapping]] = ..., instruction: _Optional[str] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., captured_ns: _Optional[int] = ..., heartbeat: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "token", "client")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    version: int
    token: str
    client: str
    def __init__(self, version: _Optional[int] = ..., token: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("seed",)
    SEED_FIELD_NUMBER: _ClassVar[int]
    seed: int
    def __init__(self, seed: _Optional[int] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("keys", "id", "mouse_action", "welcome", "timing", "heartbeat", "parting")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MOUSE_ACTION_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    PARTING_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    id: int
    mouse_action: _live_pb2.MouseAction
    welcome: Welcome
    timing: Timing
    heartbeat: int
    parting: Parting
    def __init__(self, keys: _Optional[_Iterable[str]] = ..., id: _Optional[int] = ..., mouse_action: _Optional[_Union[_live_pb2.MouseAction, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., heartbeat: _Optional[int] = ..., parting: _Optional[_Union[Parting, _Mapping]] = ...) -> None: ...

class Parting(_message.Message):
    __slots__ = ("reason", "is_final")
    REASON_FIELD_NUMBER: _ClassVar[int]
    IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    is_final: bool
    def __init__(self, reason: _Optional[str] = ..., is_final: _Optional[bool] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "server", "checkpoint", "fps", "frame_size", "resize_version", "action_space")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    FRAME_SIZE_FIELD_NUMBER: _ClassVar[int]
    RESIZE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    version: int
    server: str
    checkpoint: str
    fps: float
    frame_size: int
    resize_version: int
    action_space: ActionSpace
    def __init__(self, version: _Optional[int] = ..., server: _Optional[str] = ..., checkpoint: _Optional[str] = ..., fps: _Optional[float] = ..., frame_size: _Optional[int] = ..., resize_version: _Optional[int] = ..., action_space: _Optional[_Union[ActionSpace, _Mapping]] = ...) -> None: ...

class ActionSpace(_message.Message):
    __slots__ = ("name", "keys", "num_key_slots", "buttons", "num_button_slots", "has_scroll")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NUM_KEY_SLOTS_FIELD_NUMBER: _ClassVar[int]
    BUTTONS_FIELD_NUMBER: _ClassVar[int]
    NUM_BUTTON_SLOTS_FIELD_NUMBER: _ClassVar[int]
    HAS_SCROLL_FIELD_NUMBER: _ClassVar[int]
    name: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    num_key_slots: int
    buttons: _containers.RepeatedScalarFieldContainer[str]
    num_button_slots: int
    has_scroll: bool
    def __init__(self, name: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., num_key_slots: _Optional[int] = ..., buttons: _Optional[_Iterable[str]] = ..., num_button_slots: _Optional[int] = ..., has_scroll: _Optional[bool] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("captured_ns", "wait_ms", "decide_ms", "stage_ms", "num_dropped")
    class StageMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CAPTURED_NS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    DECIDE_MS_FIELD_NUMBER: _ClassVar[int]
    STAGE_MS_FIELD_NUMBER: _ClassVar[int]
    NUM_DROPPED_FIELD_NUMBER: _ClassVar[int]
    captured_ns: int
    wait_ms: float
    decide_ms: float
    stage_ms: _containers.ScalarMap[str, float]
    num_dropped: int
    def __init__(self, captured_ns: _Optional[int] = ..., wait_ms: _Optional[float] = ..., decide_ms: _Optional[float] = ..., stage_ms: _Optional[_Mapping[str, float]] = ..., num_dropped: _Optional[int] = ...) -> None: ...
