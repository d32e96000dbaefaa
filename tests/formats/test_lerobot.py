"""LeRobot data sets, version 3.0: what is written, by the published layout with pyarrow alone; and the way back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numbered_video import number_of, numbered, write_video

from eyehand.action import BUTTONS, KEYS, NOTHING, Action, Gamepad, Stick
from eyehand.cli import main
from eyehand.formats.importing import import_recordings
from eyehand.formats.lerobot_export import EPISODE_INFO
from eyehand.formats.lerobot_import import LerobotImporter
from eyehand.formats.lerobot_layout import ACTION_NAMES, DATA_PATH, VIDEO_PATH, action_of, vector_of
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.reader import Recording
from eyehand.recording.video import VideoReader
from eyehand.recording.writer import RecordingWriter, new_info

PICTURE = "observation.images.screen"
PAD = Gamepad(frozenset({"south", "dpad_up"}), Stick(0.5, -0.25), Stick(1.0, 0.0, True), 0.75, 0.125)


def draw_action(rng: np.random.Generator) -> Action:
    return Action(
        frozenset(rng.choice(KEYS, rng.integers(0, 5), replace=False).tolist()),
        frozenset(rng.choice(BUTTONS, rng.integers(0, 3), replace=False).tolist()),
        *(int(value) for value in rng.integers(-900, 900, 2)),
        *(int(value) for value in rng.integers(-3, 4, 2)),
        PAD if rng.random() < 0.2 else None,
    )


def record(root: Path, name: str, num_frames: int, first_picture: int, seed: int) -> Path:
    """A recording with all that one can hold: actions of user and system, labelled and unknown ones, instructions."""
    rng = np.random.default_rng(seed)
    info = new_info(
        "maze", "red", 20.0, id=name, user="somebody", tasks=("Find it.",), seed=seed, created_s=1_700_000_000
    )
    writer = RecordingWriter(root, info)
    executed: Decision | None = None
    for index in range(num_frames):
        time_ns = index * 50_000_000 + int(rng.integers(0, 3_000_000))
        instruction = (None, "Find the door.", "Open it.")[index * 3 // num_frames]
        writer.add(Frame(numbered(first_picture + index, 192, 192), time_ns, index), executed, instruction)
        kind = rng.integers(4)
        action, label = draw_action(rng), draw_action(rng)
        executed = (None, Decision(action, by_user=True), Decision(action), Decision(action, label=label))[kind]
    writer.close({"score": 3.5})
    return writer.path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for number, num_frames in enumerate((45, 1, 70)):
        record(root, f"take-{number}", num_frames, first_picture=number * 100, seed=number)
    return root


@pytest.fixture(scope="module")
def exported(recordings: Path) -> Path:
    out = recordings.with_name("lerobot")
    assert main(["export", "lerobot", str(recordings), "--out", str(out)]) == 0
    return out


def test_vectors_say_everything_an_action_says() -> None:
    rng = np.random.default_rng(0)
    for action in [NOTHING, Action(gamepad=Gamepad()), *(draw_action(rng) for _ in range(200))]:
        vector = vector_of(action)
        assert vector.dtype == np.float32
        assert vector.shape == (len(ACTION_NAMES),)
        assert action_of(vector.tolist(), ACTION_NAMES) == action
    assert not vector_of(None).any()
    with pytest.raises(ValueError, match="the number nan"):
        action_of([float("nan")], ["mouse.dx"])


def test_the_layout_is_the_published_one(recordings: Path, exported: Path) -> None:
    """Everything that LeRobot's loader looks at, with pyarrow alone."""
    info = json.loads((exported / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], info["total_episodes"], info["total_frames"]) == (20, 3, 116)
    assert info["splits"] == {"train": "0:3"}
    assert info["total_tasks"] == 3

    episodes = pq.read_table(exported / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [episode["length"] for episode in episodes] == [45, 1, 70]
    assert [(e["dataset_from_index"], e["dataset_to_index"]) for e in episodes] == [(0, 45), (45, 46), (46, 116)]
    assert [e[f"videos/{PICTURE}/from_timestamp"] for e in episodes] == [0.0, 2.25, 2.3]
    assert episodes[0]["tasks"] == ["", "Find the door.", "Open it."]

    path = exported / info["data_path"].format(chunk_index=0, file_index=0)
    table = pq.read_table(path)
    for name, feature in info["features"].items():
        if feature["dtype"] == "video":
            continue
        kind = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}[feature["dtype"]]
        length = feature["shape"][0]
        assert table.schema.field(name).type == (kind if length == 1 else pa.list_(kind, length)), name
    assert table.column("index").to_pylist() == list(range(116))
    assert table.column("episode_index").to_pylist() == [0] * 45 + [1] + [2] * 70
    assert table.column("frame_index").to_pylist() == [*range(45), 0, *range(70)]
    assert table.column("timestamp").to_pylist() == [np.float32(i / 20) for i in (*range(45), 0, *range(70))]

    tasks = pq.read_table(exported / "meta/tasks.parquet")
    pandas = json.loads(tasks.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]  # LeRobot finds a task's words in the index of a pandas table
    texts = dict(zip(tasks["task_index"].to_pylist(), tasks["task"].to_pylist(), strict=True))
    rows = table.to_pylist()
    for number, episode in enumerate(("take-0", "take-1", "take-2")):
        with Recording.open(recordings / episode) as recording:
            mine = [row for row in rows if row["episode_index"] == number]
            for frame, row in enumerate(mine):
                assert (texts[row["task_index"]] or None) == recording.instructions[frame]
                executed, user = recording.executed(frame), recording.user_action(frame)
                assert row["is_executed_known"] == (executed is not None)
                assert row["is_user_known"] == (user is not None)
                assert action_of(row["action"], ACTION_NAMES) == (executed or NOTHING)
                assert action_of(row["user_action"], ACTION_NAMES) == (user or NOTHING)


def test_pictures_are_copied_bit_by_bit(recordings: Path, exported: Path) -> None:
    video = VideoReader(exported / f"videos/{PICTURE}/chunk-000/file-000.mp4")
    assert video.num_frames == 116
    begin = 0
    for name, num_frames in (("take-0", 45), ("take-1", 1), ("take-2", 70)):
        with Recording.open(recordings / name) as recording:
            assert (video.clip(begin, num_frames) == recording.decode_clip(0, num_frames)).all()
        begin += num_frames
    video.close()


def test_statistics(exported: Path) -> None:
    stats = json.loads((exported / "meta/stats.json").read_text())
    table = pq.read_table(exported / "data/chunk-000/file-000.parquet")
    actions = np.array(table.column("action").to_pylist(), np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(stats["action"]["max"], actions.max(axis=0))
    assert stats["action"]["count"] == [116]
    assert np.array(stats[PICTURE]["mean"]).shape == (3, 1, 1)
    assert 0 < stats[PICTURE]["mean"][0][0][0] < 1
    assert stats[PICTURE]["max"][2][0][0] < 0.1  # the pictures are red


def test_there_and_back(recordings: Path, exported: Path, tmp_path: Path) -> None:
    assert main(["import", "lerobot", str(exported), "--out", str(tmp_path / "back")]) == 0
    for name in ("take-0", "take-1", "take-2"):
        with Recording.open(recordings / name) as before, Recording.open(tmp_path / "back" / name) as after:
            assert after.num_frames == before.num_frames
            frames = range(before.num_frames)
            assert [after.executed(i) for i in frames] == [before.executed(i) for i in frames]
            assert [after.user_action(i) for i in frames] == [before.user_action(i) for i in frames]
            assert after.times_ns == before.times_ns
            assert after.instructions == before.instructions
            assert after.outcome == before.outcome
            assert after.info == before.info
            assert [a.system_action.is_known for a in after.annotations] == [
                b.system_action.is_known for b in before.annotations
            ]
            shown = [number_of(picture) for picture in after.decode_clip(0, before.num_frames)]
            assert shown == [number_of(picture) for picture in before.decode_clip(0, before.num_frames)]


def test_videos_that_were_encoded_otherwise_get_a_file_of_their_own(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path / "in", f"take-{number}", 8, first_picture=number * 10, seed=number)
    import av

    small = tmp_path / "in/take-1/192x192.mp4"
    pictures = VideoReader(small).clip(0, 8)
    with av.open(str(small), "w") as container:  # with B-frames, as videos of others may have
        stream = container.add_stream("libx264", rate=20, options={"bf": "2", "crf": "12"})
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    assert main(["export", "lerobot", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out/videos").rglob("*.mp4"))) == 3
    report = import_recordings(LerobotImporter([tmp_path / "out"]), tmp_path / "back")
    for number, path in enumerate(report.written):
        with Recording.open(path) as recording:
            assert [number_of(p) for p in recording.decode_clip(0, 8)] == list(range(number * 10, number * 10 + 8))


def test_many_episodes_and_a_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of episodes is written in pieces; the statistics do not depend on how many."""
    monkeypatch.setattr("eyehand.formats.lerobot_export._NUM_EPISODES_HELD", 2)
    for number in range(5):
        record(tmp_path / "in", f"take-{number}", 4 + number, number * 10, seed=number)
    assert main(["data", "index", str(tmp_path / "in"), "--out", str(tmp_path / "in.parquet")]) == 0
    arguments = ["export", "lerobot", str(tmp_path / "in.parquet"), "--where", "num_frames > 4"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    episodes = pq.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(episode["episode_index"], episode["length"]) for episode in episodes] == [(0, 5), (1, 6), (2, 7), (3, 8)]
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    table = pq.read_table(tmp_path / "out/data/chunk-000/file-000.parquet")
    actions = np.array(table.column("action").to_pylist(), np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(stats["action"]["min"], actions.min(axis=0))
    assert stats["action"]["count"] == [26]


def test_a_damaged_recording_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        record(tmp_path / "in", f"take-{number}", 8, 0, number)
    (tmp_path / "in/take-0/192x192.mp4").write_bytes(b"nothing")
    assert main(["export", "lerobot", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "take-0" in printed.err
    assert "wrote 1 episode with 8 frames" in printed.out
    assert "left 1 recording out" in printed.out


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "in", "take", 8, 0, 0)
    (tmp_path / "in/take/192x192.mp4").write_bytes(b"nothing")
    assert main(["export", "lerobot", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    assert "None of the recordings can be exported" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert main(["export", "lerobot", str(tmp_path / "in"), "--out", str(tmp_path / "full")]) == 2
    assert "exists: give a new folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "in"]


def _change_info(**changes: object):
    def spoil(root: Path) -> None:
        path = root / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def _cut(name: str):
    def spoil(root: Path) -> None:
        path = root / name
        path.write_bytes(path.read_bytes()[:-200])

    return spoil


ROBOT = {"action": {"dtype": "float32", "shape": [2], "names": ["shoulder_pan.pos", "gripper.pos"]}}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_cut("meta/info.json"), "info.json is damaged"),
        (_cut("data/chunk-000/file-000.parquet"), "file-000.parquet is damaged or cut off"),
        (_cut("meta/episodes/chunk-000/file-000.parquet"), "file-000.parquet is damaged or cut off"),
        (_cut("meta/tasks.parquet"), "tasks.parquet is damaged or cut off"),
        (_cut(f"videos/{PICTURE}/chunk-000/file-000.mp4"), "file-000.mp4 is damaged"),
        (lambda root: (root / "data/chunk-000/file-000.parquet").unlink(), "file-000.parquet is missing"),
        (_change_info(fps=30), "It has 30 frames per second and a policy acts at 20"),
        (_change_info(codebase_version="v2.1"), "has the version 'v2.1': convert it"),
        (_change_info(video_path="../{video_key}.mp4"), "leads out of its folder"),
        (_change_info(data_path="/data/{chunk_index}.parquet"), "leads out of its folder"),
        (_change_info(data_path="{chunk_index:>2000000000}.parquet"), "2000000000}.parquet is missing"),
        (_change_info(data_path="{chunk_index.__class__}.parquet"), "__class__}.parquet is missing"),
        (_change_info(features=ROBOT), "have 'shoulder_pan.pos', which is nothing that keyboard"),
    ],
)
def test_bad_data_sets_are_one_sentence_and_leave_nothing(
    tmp_path: Path, exported: Path, capsys: pytest.CaptureFixture[str], spoil, sentence: str
) -> None:
    import shutil

    root = shutil.copytree(exported, tmp_path / "set")
    spoil(root)
    assert main(["import", "lerobot", str(root), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*"))


def write_set(
    root: Path, actions: list[list[float]], names: list[str], *, starts: tuple[float, ...] = (0.0, 1.5), first: int = 0
) -> Path:
    """A data set of others: two episodes of 30 frames with these actions, one after another in one video.

    Args:
        starts: the times of the video at which they begin, as the data set says.
        first: the number in the first picture.
    """
    video = f"videos/{PICTURE}"
    numbered_files = {f"{what}/{part}_index": 0 for what in ("data", video) for part in ("chunk", "file")}
    episodes = [
        {"episode_index": number, "length": 30, f"{video}/from_timestamp": start, **numbered_files}
        for number, start in enumerate(starts)
    ]
    kind = pa.float32() if len(names) == 1 else pa.list_(pa.float32(), len(names))
    rows = 2 * [action[0] if len(names) == 1 else action for action in actions]
    table = {
        "action": pa.array(rows, kind),
        "frame_index": [*range(30), *range(30)],
        "episode_index": 30 * [0] + 30 * [1],
        "task_index": 60 * [0],
    }
    tables = {
        "meta/episodes/chunk-000/file-000.parquet": pa.Table.from_pylist(episodes),
        "meta/tasks.parquet": pa.table({"task_index": [0], "task": ["hop"]}),
        "data/chunk-000/file-000.parquet": pa.table(table),
    }
    for name, content in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(content, root / name)
    path = root / f"{video}/chunk-000/file-000.mp4"
    path.parent.mkdir(parents=True)
    write_video(path, [50 * index for index in range(60)], 20, first)
    features = {"action": {"dtype": "float32", "shape": [len(names)], "names": names}, PICTURE: {"dtype": "video"}}
    about = {
        "codebase_version": "v3.0",
        "fps": 20,
        "features": features,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
    }
    (root / "meta/info.json").write_text(json.dumps(about))
    return root


NAN = float("nan")
ELSEWHERE = '{"id": "../../elsewhere", "env": "a", "env_subtype": "b", "fps": 20}'
HOPS = [[float(index % 10 >= 5), index - 15.0] for index in range(30)]


def test_an_action_of_one_number_is_a_plain_column(tmp_path: Path) -> None:
    report = import_recordings(LerobotImporter([write_set(tmp_path / "set", HOPS, ["key.Space"])]), tmp_path / "out")
    assert (len(report.written), report.problems) == (2, [])
    for path in report.written:
        with Recording.open(path) as recording:
            held = [frame for frame in range(29) if recording.executed(frame) == Action.of(["Space"])]
        assert held == [*range(5, 10), *range(15, 20), *range(25, 29)]


def test_what_is_not_read_may_be_large(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", HOPS, ["key.Space", "mouse.dx"])
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    depth = pa.array([[0.0] * 5000] * len(table), pa.list_(pa.float32()))
    pq.write_table(table.append_column("observation.depth", depth), path)
    report = import_recordings(LerobotImporter([root]), tmp_path / "out")
    assert (len(report.written), report.problems) == (2, [])


def test_episodes_lie_side_by_side_whatever_their_times_say(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", HOPS, ["key.Space", "mouse.dx"], starts=(0.0, 1.47))
    report = import_recordings(LerobotImporter([root]), tmp_path / "out")
    for begin, path in zip((0, 30), report.written, strict=True):
        with Recording.open(path) as recording:
            assert [number_of(picture) for picture in recording.decode_clip(0, 30)] == list(range(begin, begin + 30))


@pytest.mark.parametrize(
    ("starts", "sentence"),
    [
        ((1.47,), "does not say which pictures of"),
        ((1.55,), "ends before what"),
        ((0.0, 1.0, 1.5), "does not say which pictures of"),
        ((float("nan"),), "is not laid out as"),
    ],
)
def test_a_video_with_more_than_the_episodes_needs_times_that_are_right(
    tmp_path: Path, starts: tuple[float, ...], sentence: str
) -> None:
    root = write_set(tmp_path / "set", HOPS, ["key.Space", "mouse.dx"], starts=starts)
    report = import_recordings(LerobotImporter([root]), tmp_path / "out")
    assert not report.written
    assert len(report.problems) == 1
    assert sentence in report.problems[0]


def test_one_episode_of_a_longer_video(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", HOPS, ["key.Space", "mouse.dx"], starts=(1.25,))
    report = import_recordings(LerobotImporter([root]), tmp_path / "out")
    with Recording.open(report.written[0]) as recording:
        assert number_of(recording.decode_clip(0, 1)[0]) == 25


def test_sets_of_one_name_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    """Other pictures, or another action; the same set in another place is the same."""
    names = ["key.Space", "mouse.dx"]
    folders = [
        write_set(tmp_path / "monday/play", HOPS, names),
        write_set(tmp_path / "tuesday/play", HOPS, names, first=100),
        write_set(tmp_path / "wednesday/play", [*HOPS[:-1], [0.0, 0.0]], names),
        write_set(tmp_path / "copy", HOPS, names),
    ]
    reports = [import_recordings(LerobotImporter([folder]), tmp_path / "out") for folder in folders]
    assert [(len(report.written), len(report.skipped)) for report in reports] == [(2, 0), (2, 0), (2, 0), (0, 2)]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("data/chunk-000/file-000.parquet", "task_index", None),
        ("data/chunk-000/file-000.parquet", "action", pa.array([None] * 60, pa.list_(pa.float32(), 2))),
        ("data/chunk-000/file-000.parquet", "frame_index", None),
        ("meta/episodes/chunk-000/file-000.parquet", "length", None),
        ("meta/episodes/chunk-000/file-000.parquet", f"videos/{PICTURE}/from_timestamp", pa.array([None, 1.5])),
        ("meta/episodes/chunk-000/file-000.parquet", f"videos/{PICTURE}/from_timestamp", pa.array([NAN, 1.5])),
        ("data/chunk-000/file-000.parquet", "action", pa.array([[NAN, 0.0]] * 60, pa.list_(pa.float32(), 2))),
        ("meta/episodes/chunk-000/file-000.parquet", EPISODE_INFO, pa.array([ELSEWHERE] * 2)),
        ("meta/episodes/chunk-000/file-000.parquet", EPISODE_INFO, pa.array(['{"id": 5}'] * 2)),
        ("meta/tasks.parquet", "task", None),
    ],
)
def test_tables_without_a_column_and_with_nulls(
    tmp_path: Path, table: str, column: str, value: pa.Array | None
) -> None:
    """One sentence each, and the sound set after it is imported; numbers that are none, and ids that lead elsewhere."""
    bad = write_set(tmp_path / "bad", HOPS, ["key.Space", "mouse.dx"])
    content = pq.read_table(bad / table)
    changed = content.drop_columns([column]) if column in content.column_names else content
    changed = changed if value is None else changed.append_column(column, value)
    pq.write_table(changed, bad / table)
    good = write_set(tmp_path / "good", HOPS, ["key.Space", "mouse.dx"], first=100)
    report = import_recordings(LerobotImporter([bad, good]), tmp_path / "out")
    assert [len(report.written), len(report.problems)] in (
        [2, 1],
        [2, 2],
        [3, 1],
    )  # a part of it, or one of its episodes
    assert all("bad" in problem for problem in report.problems)
    # Lists that are null are beyond some versions of pyarrow, and the file as good as damaged to them.
    assert re.search(
        "is not laid out as|is damaged|holds the name|does not hold the 30 frames|does not say what", report.problems[0]
    )


def test_lerobot_itself_reads_every_frame(recordings: Path, exported: Path) -> None:
    """The real package, where it is installed: every index, action, task and picture."""
    module = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    data_set = module.LeRobotDataset("eyehand/test", root=exported)
    assert (data_set.num_episodes, data_set.num_frames, data_set.fps) == (3, 116, 20)
    index = 0
    for episode, name in enumerate(("take-0", "take-1", "take-2")):
        with Recording.open(recordings / name) as recording:
            for frame in range(recording.num_frames):
                item = data_set[index]
                assert (item["index"].item(), item["episode_index"].item()) == (index, episode)
                assert item["frame_index"].item() == frame
                executed = recording.executed(frame)
                assert item["is_executed_known"].item() == (executed is not None)
                assert action_of(item["action"].tolist(), ACTION_NAMES) == (executed or NOTHING)
                assert action_of(item["user_action"].tolist(), ACTION_NAMES) == (
                    recording.user_action(frame) or NOTHING
                )
                assert (item["task"] or None) == recording.instructions[frame]
                picture = (item[PICTURE].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
                assert number_of(picture) == number_of(recording.decode_clip(frame, 1)[0])
                index += 1
    assert index == 116


def test_what_lerobot_itself_wrote_can_be_read(tmp_path: Path) -> None:
    """A data set of the real package, with actions named as ours: a person's play."""
    module = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    names = ["key.w", "key.Space", "button.0", "mouse.dx"]
    features = {
        "action": {"dtype": "float32", "shape": (4,), "names": names},
        "observation.images.front": {"dtype": "video", "shape": (96, 160, 3), "names": ["height", "width", "channels"]},
    }
    data_set = module.LeRobotDataset.create("me/play", 20, features, root=tmp_path / "set", vcodec="h264")
    for number_of_frames in (12, 9):
        for index in range(number_of_frames):
            action = np.array([index % 2, index % 3 == 0, 0, index - 4], np.float32)
            frame = {"action": action, "observation.images.front": numbered(index), "task": "Go on."}
            data_set.add_frame(frame)
        data_set.save_episode()
    data_set.finalize()
    report = import_recordings(LerobotImporter([tmp_path / "set"]), tmp_path / "out")
    assert report.problems == []
    for path, num_frames in zip(report.written, (12, 9), strict=True):
        with Recording.open(path) as recording:
            assert recording.num_frames == num_frames
            assert [number_of(picture) for picture in recording.decode_clip(0, num_frames)] == list(range(num_frames))
            for index in range(num_frames - 1):
                keys = ["w"] * (index % 2) + ["Space"] * (index % 3 == 0)
                assert recording.user_action(index) == Action.of(keys, dx=index - 4)
            assert set(recording.instructions) == {"Go on."}
            assert recording.times_ns == tuple(index * 50_000_000 for index in range(num_frames))
