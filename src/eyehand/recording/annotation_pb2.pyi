from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Vec2Float(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class Vec2Int(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ...) -> None: ...

class VideoAnnotation(_message.Message):
    __slots__ = ("metadata", "frame_annotations", "video_global_task", "version", "video_frame_annotation_metadata", "changelog", "voice_events")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FRAME_ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    VIDEO_GLOBAL_TASK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FRAME_ANNOTATION_METADATA_FIELD_NUMBER: _ClassVar[int]
    CHANGELOG_FIELD_NUMBER: _ClassVar[int]
    VOICE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    metadata: Metadata
    frame_annotations: _containers.RepeatedCompositeFieldContainer[FrameAnnotation]
    video_global_task: VideoGlobalTask
    version: int
    video_frame_annotation_metadata: VideoFrameAnnotationMetadata
    changelog: _containers.RepeatedCompositeFieldContainer[Change]
    voice_events: _containers.RepeatedCompositeFieldContainer[VoiceEvent]
    def __init__(self, metadata: _Optional[_Union[Metadata, _Mapping]] = ..., frame_annotations: _Optional[_Iterable[_Union[FrameAnnotation, _Mapping]]] = ..., video_global_task: _Optional[_Union[VideoGlobalTask, _Mapping]] = ..., version: _Optional[int] = ..., video_frame_annotation_metadata: _Optional[_Union[VideoFrameAnnotationMetadata, _Mapping]] = ..., changelog: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., voice_events: _Optional[_Iterable[_Union[VoiceEvent, _Mapping]]] = ...) -> None: ...

class VideoGlobalTask(_message.Message):
    __slots__ = ("video_narrative",)
    VIDEO_NARRATIVE_FIELD_NUMBER: _ClassVar[int]
    video_narrative: str
    def __init__(self, video_narrative: _Optional[str] = ...) -> None: ...

class VideoFrameAnnotationMetadata(_message.Message):
    __slots__ = ("video_narrative",)
    VIDEO_NARRATIVE_FIELD_NUMBER: _ClassVar[int]
    video_narrative: str
    def __init__(self, video_narrative: _Optional[str] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("change_id", "change_description", "timestamp")
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    change_id: str
    change_description: str
    timestamp: int
    def __init__(self, change_id: _Optional[str] = ..., change_description: _Optional[str] = ..., timestamp: _Optional[int] = ...) -> None: ...

class VoiceEvent(_message.Message):
    __slots__ = ("time", "speaking")
    TIME_FIELD_NUMBER: _ClassVar[int]
    SPEAKING_FIELD_NUMBER: _ClassVar[int]
    time: int
    speaking: bool
    def __init__(self, time: _Optional[int] = ..., speaking: _Optional[bool] = ...) -> None: ...

class Metadata(_message.Message):
    __slots__ = ("id", "timestamp", "user", "tasks", "frames_per_second", "env", "group_name", "golden_example_path", "video_source_info", "capture_device_specs", "video_quality_info")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    GROUP_NAME_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_EXAMPLE_PATH_FIELD_NUMBER: _ClassVar[int]
    VIDEO_SOURCE_INFO_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_DEVICE_SPECS_FIELD_NUMBER: _ClassVar[int]
    VIDEO_QUALITY_INFO_FIELD_NUMBER: _ClassVar[int]
    id: str
    timestamp: int
    user: str
    tasks: _containers.RepeatedScalarFieldContainer[str]
    frames_per_second: float
    env: Env
    group_name: str
    golden_example_path: str
    video_source_info: VideoSourceInfo
    capture_device_specs: CaptureDeviceSpecs
    video_quality_info: VideoQualityInfo
    def __init__(self, id: _Optional[str] = ..., timestamp: _Optional[int] = ..., user: _Optional[str] = ..., tasks: _Optional[_Iterable[str]] = ..., frames_per_second: _Optional[float] = ..., env: _Optional[_Union[Env, _Mapping]] = ..., group_name: _Optional[str] = ..., golden_example_path: _Optional[str] = ..., video_source_info: _Optional[_Union[VideoSourceInfo, _Mapping]] = ..., capture_device_specs: _Optional[_Union[CaptureDeviceSpecs, _Mapping]] = ..., video_quality_info: _Optional[_Union[VideoQualityInfo, _Mapping]] = ...) -> None: ...

class Env(_message.Message):
    __slots__ = ("env", "env_subtype", "env_version")
    ENV_FIELD_NUMBER: _ClassVar[int]
    ENV_SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    ENV_VERSION_FIELD_NUMBER: _ClassVar[int]
    env: str
    env_subtype: str
    env_version: str
    def __init__(self, env: _Optional[str] = ..., env_subtype: _Optional[str] = ..., env_version: _Optional[str] = ...) -> None: ...

class VideoSourceInfo(_message.Message):
    __slots__ = ("source", "video_filter_info")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FILTER_INFO_FIELD_NUMBER: _ClassVar[int]
    source: VideoSource
    video_filter_info: str
    def __init__(self, source: _Optional[_Union[VideoSource, _Mapping]] = ..., video_filter_info: _Optional[str] = ...) -> None: ...

class VideoSource(_message.Message):
    __slots__ = ("youtube", "oai", "twitch")
    YOUTUBE_FIELD_NUMBER: _ClassVar[int]
    OAI_FIELD_NUMBER: _ClassVar[int]
    TWITCH_FIELD_NUMBER: _ClassVar[int]
    youtube: YoutubeSource
    oai: OaiSource
    twitch: TwitchSource
    def __init__(self, youtube: _Optional[_Union[YoutubeSource, _Mapping]] = ..., oai: _Optional[_Union[OaiSource, _Mapping]] = ..., twitch: _Optional[_Union[TwitchSource, _Mapping]] = ...) -> None: ...

class YoutubeSource(_message.Message):
    __slots__ = ("video_id", "query")
    VIDEO_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    video_id: str
    query: str
    def __init__(self, video_id: _Optional[str] = ..., query: _Optional[str] = ...) -> None: ...

class OaiSource(_message.Message):
    __slots__ = ("video_url", "action_url")
    VIDEO_URL_FIELD_NUMBER: _ClassVar[int]
    ACTION_URL_FIELD_NUMBER: _ClassVar[int]
    video_url: str
    action_url: str
    def __init__(self, video_url: _Optional[str] = ..., action_url: _Optional[str] = ...) -> None: ...

class TwitchSource(_message.Message):
    __slots__ = ("video_id", "game", "env_subtype")
    VIDEO_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_FIELD_NUMBER: _ClassVar[int]
    ENV_SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    video_id: str
    game: str
    env_subtype: str
    def __init__(self, video_id: _Optional[str] = ..., game: _Optional[str] = ..., env_subtype: _Optional[str] = ...) -> None: ...

class CaptureDeviceSpecs(_message.Message):
    __slots__ = ("os", "keyboard_layout", "window_specs", "screen_specs", "recap_version", "git_commit")
    OS_FIELD_NUMBER: _ClassVar[int]
    KEYBOARD_LAYOUT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SPECS_FIELD_NUMBER: _ClassVar[int]
    SCREEN_SPECS_FIELD_NUMBER: _ClassVar[int]
    RECAP_VERSION_FIELD_NUMBER: _ClassVar[int]
    GIT_COMMIT_FIELD_NUMBER: _ClassVar[int]
    os: str
    keyboard_layout: str
    window_specs: WindowSpecs
    screen_specs: _containers.RepeatedCompositeFieldContainer[ScreenSpecs]
    recap_version: int
    git_commit: str
    def __init__(self, os: _Optional[str] = ..., keyboard_layout: _Optional[str] = ..., window_specs: _Optional[_Union[WindowSpecs, _Mapping]] = ..., screen_specs: _Optional[_Iterable[_Union[ScreenSpecs, _Mapping]]] = ..., recap_version: _Optional[int] = ..., git_commit: _Optional[str] = ...) -> None: ...

class WindowSpecs(_message.Message):
    __slots__ = ("width", "height", "scale", "dpi", "title", "screen_id")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    DPI_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SCREEN_ID_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    scale: float
    dpi: int
    title: str
    screen_id: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., scale: _Optional[float] = ..., dpi: _Optional[int] = ..., title: _Optional[str] = ..., screen_id: _Optional[int] = ...) -> None: ...

class ScreenSpecs(_message.Message):
    __slots__ = ("width", "height", "scale", "dpi", "id")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    DPI_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    scale: float
    dpi: int
    id: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., scale: _Optional[float] = ..., dpi: _Optional[int] = ..., id: _Optional[int] = ...) -> None: ...

class VideoQualityInfo(_message.Message):
    __slots__ = ("has_facecam", "aspect_ratio")
    HAS_FACECAM_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIO_FIELD_NUMBER: _ClassVar[int]
    has_facecam: bool
    aspect_ratio: AspectRatio
    def __init__(self, has_facecam: _Optional[bool] = ..., aspect_ratio: _Optional[_Union[AspectRatio, _Mapping]] = ...) -> None: ...

class AspectRatio(_message.Message):
    __slots__ = ("numerator", "denominator")
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    numerator: int
    denominator: int
    def __init__(self, numerator: _Optional[int] = ..., denominator: _Optional[int] = ...) -> None: ...

class FrameAnnotation(_message.Message):
    __slots__ = ("user_action", "action_task", "system_action", "frame_text_annotation", "frame_time", "input_events")
    USER_ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTION_TASK_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_ACTION_FIELD_NUMBER: _ClassVar[int]
    FRAME_TEXT_ANNOTATION_FIELD_NUMBER: _ClassVar[int]
    FRAME_TIME_FIELD_NUMBER: _ClassVar[int]
    INPUT_EVENTS_FIELD_NUMBER: _ClassVar[int]
    user_action: LowLevelAction
    action_task: ActionTask
    system_action: LowLevelAction
    frame_text_annotation: _containers.RepeatedCompositeFieldContainer[FrameText]
    frame_time: int
    input_events: _containers.RepeatedCompositeFieldContainer[InputEvent]
    def __init__(self, user_action: _Optional[_Union[LowLevelAction, _Mapping]] = ..., action_task: _Optional[_Union[ActionTask, _Mapping]] = ..., system_action: _Optional[_Union[LowLevelAction, _Mapping]] = ..., frame_text_annotation: _Optional[_Iterable[_Union[FrameText, _Mapping]]] = ..., frame_time: _Optional[int] = ..., input_events: _Optional[_Iterable[_Union[InputEvent, _Mapping]]] = ...) -> None: ...

class ActionTask(_message.Message):
    __slots__ = ("lower_level_task", "higher_level_task")
    LOWER_LEVEL_TASK_FIELD_NUMBER: _ClassVar[int]
    HIGHER_LEVEL_TASK_FIELD_NUMBER: _ClassVar[int]
    lower_level_task: str
    higher_level_task: str
    def __init__(self, lower_level_task: _Optional[str] = ..., higher_level_task: _Optional[str] = ...) -> None: ...

class LowLevelAction(_message.Message):
    __slots__ = ("mouse_deprecated", "keyboard", "is_known", "mouse", "game_pad")
    MOUSE_DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    KEYBOARD_FIELD_NUMBER: _ClassVar[int]
    IS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    MOUSE_FIELD_NUMBER: _ClassVar[int]
    GAME_PAD_FIELD_NUMBER: _ClassVar[int]
    mouse_deprecated: MouseDeprecated
    keyboard: Keyboard
    is_known: bool
    mouse: MouseState
    game_pad: GamePad
    def __init__(self, mouse_deprecated: _Optional[_Union[MouseDeprecated, _Mapping]] = ..., keyboard: _Optional[_Union[Keyboard, _Mapping]] = ..., is_known: _Optional[bool] = ..., mouse: _Optional[_Union[MouseState, _Mapping]] = ..., game_pad: _Optional[_Union[GamePad, _Mapping]] = ...) -> None: ...

class MouseDeprecated(_message.Message):
    __slots__ = ("x", "y", "dx", "dy", "buttons", "new_buttons")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    DX_FIELD_NUMBER: _ClassVar[int]
    DY_FIELD_NUMBER: _ClassVar[int]
    BUTTONS_FIELD_NUMBER: _ClassVar[int]
    NEW_BUTTONS_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    dx: float
    dy: float
    buttons: _containers.RepeatedScalarFieldContainer[int]
    new_buttons: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., dx: _Optional[float] = ..., dy: _Optional[float] = ..., buttons: _Optional[_Iterable[int]] = ..., new_buttons: _Optional[_Iterable[int]] = ...) -> None: ...

class Keyboard(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class MouseState(_message.Message):
    __slots__ = ("mouse_absolute_px", "mouse_relative", "mouse_delta_px", "scroll_delta_px", "buttons_down")
    MOUSE_ABSOLUTE_PX_FIELD_NUMBER: _ClassVar[int]
    MOUSE_RELATIVE_FIELD_NUMBER: _ClassVar[int]
    MOUSE_DELTA_PX_FIELD_NUMBER: _ClassVar[int]
    SCROLL_DELTA_PX_FIELD_NUMBER: _ClassVar[int]
    BUTTONS_DOWN_FIELD_NUMBER: _ClassVar[int]
    mouse_absolute_px: Vec2Int
    mouse_relative: Vec2Float
    mouse_delta_px: Vec2Int
    scroll_delta_px: Vec2Int
    buttons_down: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mouse_absolute_px: _Optional[_Union[Vec2Int, _Mapping]] = ..., mouse_relative: _Optional[_Union[Vec2Float, _Mapping]] = ..., mouse_delta_px: _Optional[_Union[Vec2Int, _Mapping]] = ..., scroll_delta_px: _Optional[_Union[Vec2Int, _Mapping]] = ..., buttons_down: _Optional[_Iterable[str]] = ...) -> None: ...

class GamePad(_message.Message):
    __slots__ = ("buttons", "left_stick", "right_stick", "left_trigger", "right_trigger")
    BUTTONS_FIELD_NUMBER: _ClassVar[int]
    LEFT_STICK_FIELD_NUMBER: _ClassVar[int]
    RIGHT_STICK_FIELD_NUMBER: _ClassVar[int]
    LEFT_TRIGGER_FIELD_NUMBER: _ClassVar[int]
    RIGHT_TRIGGER_FIELD_NUMBER: _ClassVar[int]
    buttons: GamePadButtons
    left_stick: Stick
    right_stick: Stick
    left_trigger: float
    right_trigger: float
    def __init__(self, buttons: _Optional[_Union[GamePadButtons, _Mapping]] = ..., left_stick: _Optional[_Union[Stick, _Mapping]] = ..., right_stick: _Optional[_Union[Stick, _Mapping]] = ..., left_trigger: _Optional[float] = ..., right_trigger: _Optional[float] = ...) -> None: ...

class GamePadButtons(_message.Message):
    __slots__ = ("south", "north", "east", "west", "dpad_up", "dpad_down", "dpad_left", "dpad_right", "start", "select", "left_bumper", "right_bumper")
    SOUTH_FIELD_NUMBER: _ClassVar[int]
    NORTH_FIELD_NUMBER: _ClassVar[int]
    EAST_FIELD_NUMBER: _ClassVar[int]
    WEST_FIELD_NUMBER: _ClassVar[int]
    DPAD_UP_FIELD_NUMBER: _ClassVar[int]
    DPAD_DOWN_FIELD_NUMBER: _ClassVar[int]
    DPAD_LEFT_FIELD_NUMBER: _ClassVar[int]
    DPAD_RIGHT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    SELECT_FIELD_NUMBER: _ClassVar[int]
    LEFT_BUMPER_FIELD_NUMBER: _ClassVar[int]
    RIGHT_BUMPER_FIELD_NUMBER: _ClassVar[int]
    south: bool
    north: bool
    east: bool
    west: bool
    dpad_up: bool
    dpad_down: bool
    dpad_left: bool
    dpad_right: bool
    start: bool
    select: bool
    left_bumper: bool
    right_bumper: bool
    def __init__(self, south: _Optional[bool] = ..., north: _Optional[bool] = ..., east: _Optional[bool] = ..., west: _Optional[bool] = ..., dpad_up: _Optional[bool] = ..., dpad_down: _Optional[bool] = ..., dpad_left: _Optional[bool] = ..., dpad_right: _Optional[bool] = ..., start: _Optional[bool] = ..., select: _Optional[bool] = ..., left_bumper: _Optional[bool] = ..., right_bumper: _Optional[bool] = ...) -> None: ...

class Stick(_message.Message):
    __slots__ = ("x", "y", "pressed")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    PRESSED_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    pressed: bool
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ..., pressed: _Optional[bool] = ...) -> None: ...

class FrameText(_message.Message):
    __slots__ = ("instruction", "frame_text_annotator", "duration", "text_embedding_dict")
    class TextEmbeddingDictEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TextEmbeddings
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TextEmbeddings, _Mapping]] = ...) -> None: ...
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    FRAME_TEXT_ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TEXT_EMBEDDING_DICT_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    frame_text_annotator: FrameTextAnnotator
    duration: float
    text_embedding_dict: _containers.MessageMap[str, TextEmbeddings]
    def __init__(self, instruction: _Optional[str] = ..., frame_text_annotator: _Optional[_Union[FrameTextAnnotator, _Mapping]] = ..., duration: _Optional[float] = ..., text_embedding_dict: _Optional[_Mapping[str, TextEmbeddings]] = ...) -> None: ...

class FrameTextAnnotator(_message.Message):
    __slots__ = ("provider", "version")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    provider: str
    version: str
    def __init__(self, provider: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class TextEmbeddings(_message.Message):
    __slots__ = ("text_embeddings",)
    class TextEmbeddingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TextEmbedding
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TextEmbedding, _Mapping]] = ...) -> None: ...
    TEXT_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    text_embeddings: _containers.MessageMap[str, TextEmbedding]
    def __init__(self, text_embeddings: _Optional[_Mapping[str, TextEmbedding]] = ...) -> None: ...

class TextEmbedding(_message.Message):
    __slots__ = ("shape", "values")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class InputEvent(_message.Message):
    __slots__ = ("mouse_event", "keyboard_event", "mouse_move_event", "wheel_event", "mouse_delta_event", "game_pad_button_event", "game_pad_axis_event", "game_pad_trigger_event", "time", "simulated")
    MOUSE_EVENT_FIELD_NUMBER: _ClassVar[int]
    KEYBOARD_EVENT_FIELD_NUMBER: _ClassVar[int]
    MOUSE_MOVE_EVENT_FIELD_NUMBER: _ClassVar[int]
    WHEEL_EVENT_FIELD_NUMBER: _ClassVar[int]
    MOUSE_DELTA_EVENT_FIELD_NUMBER: _ClassVar[int]
    GAME_PAD_BUTTON_EVENT_FIELD_NUMBER: _ClassVar[int]
    GAME_PAD_AXIS_EVENT_FIELD_NUMBER: _ClassVar[int]
    GAME_PAD_TRIGGER_EVENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    mouse_event: MouseButtonEvent
    keyboard_event: KeyboardEvent
    mouse_move_event: Vec2Int
    wheel_event: Vec2Int
    mouse_delta_event: Vec2Int
    game_pad_button_event: GamePadButtonEvent
    game_pad_axis_event: GamePadAxisEvent
    game_pad_trigger_event: GamePadTriggerEvent
    time: int
    simulated: bool
    def __init__(self, mouse_event: _Optional[_Union[MouseButtonEvent, _Mapping]] = ..., keyboard_event: _Optional[_Union[KeyboardEvent, _Mapping]] = ..., mouse_move_event: _Optional[_Union[Vec2Int, _Mapping]] = ..., wheel_event: _Optional[_Union[Vec2Int, _Mapping]] = ..., mouse_delta_event: _Optional[_Union[Vec2Int, _Mapping]] = ..., game_pad_button_event: _Optional[_Union[GamePadButtonEvent, _Mapping]] = ..., game_pad_axis_event: _Optional[_Union[GamePadAxisEvent, _Mapping]] = ..., game_pad_trigger_event: _Optional[_Union[GamePadTriggerEvent, _Mapping]] = ..., time: _Optional[int] = ..., simulated: _Optional[bool] = ...) -> None: ...

class MouseButtonEvent(_message.Message):
    __slots__ = ("button", "pressed")
    BUTTON_FIELD_NUMBER: _ClassVar[int]
    PRESSED_FIELD_NUMBER: _ClassVar[int]
    button: str
    pressed: bool
    def __init__(self, button: _Optional[str] = ..., pressed: _Optional[bool] = ...) -> None: ...

class KeyboardEvent(_message.Message):
    __slots__ = ("key", "pressed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PRESSED_FIELD_NUMBER: _ClassVar[int]
    key: str
    pressed: bool
    def __init__(self, key: _Optional[str] = ..., pressed: _Optional[bool] = ...) -> None: ...

class GamePadButtonEvent(_message.Message):
    __slots__ = ("button", "pressed")
    BUTTON_FIELD_NUMBER: _ClassVar[int]
    PRESSED_FIELD_NUMBER: _ClassVar[int]
    button: str
    pressed: bool
    def __init__(self, button: _Optional[str] = ..., pressed: _Optional[bool] = ...) -> None: ...

class GamePadAxisEvent(_message.Message):
    __slots__ = ("axis", "value")
    AXIS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    axis: str
    value: float
    def __init__(self, axis: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class GamePadTriggerEvent(_message.Message):
    __slots__ = ("trigger", "value")
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    trigger: str
    value: float
    def __init__(self, trigger: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
