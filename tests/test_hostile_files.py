"""Every reader of files that others made, attacked: it says a sentence, in bounded memory, and goes on with the others.

Bytes of sound files are changed, cut and repeated, fields of annotations get values that no recorder writes, and there
are the bombs that were found. The readers run in a process of their own (see `hostile_reader.py`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import moving_block
from eyehand.checkpoint import save_checkpoint
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.video import VideoWriter
from hostile_reader import HostileReader
from tiny import TINY, tiny_policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are known on Linux only")

MOST_MB = 300
FEW = settings(
    max_examples=int(os.environ.get("EYEHAND_FUZZ", "8")),
    derandomize="EYEHAND_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""EYEHAND_FUZZ=1000 looks for new ones."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sound recording, `block-000`, and `block-001`, which is attacked."""
    root = tmp_path_factory.mktemp("sound")
    for seed in range(2):
        moving_block.record(root, seed=seed, num_frames=12)
    return root


@pytest.fixture(scope="module")
def reader(sound: Path) -> Iterator[HostileReader]:
    with HostileReader() as child:
        assert is_used(told(child, "recordings", sound))
        yield child


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, sound: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path_factory.mktemp("work") / "data"))


def told(reader: HostileReader, name: str, place: Path) -> list[str]:
    """The sentences of a reader, none of which is long, after checking that nothing else came of it."""
    sentences, problem, grown_mb = reader.read(name, place)
    assert problem is None, problem
    assert grown_mb < MOST_MB
    assert all(len(sentence) < 2000 for sentence in sentences)
    return sentences


def is_used(sentences: list[str]) -> bool:
    """Whether nobody had anything to say of the sound recording (but that its block jumps, to the lag's estimate)."""
    return not any("block-000" in each and "shifted" not in each for each in sentences)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A change of some bytes: other values, a part cut out, repeated, or made of one value."""
    kinds = ("byte", "number", "cut", "end", "repeat", "fill")
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(kinds), st.floats(0, 1), st.integers(1, 64), st.binary(min_size=8, max_size=8)),
            min_size=1,
            max_size=6,
        )
    )
    numbers = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00", b"\x00\x00\x00\x01")

    def change(data: bytes) -> bytes:
        for kind, place, length, values in steps:
            at = int(place * len(data))
            if kind == "byte":
                data = data[:at] + values[:1] + data[at + 1 :]
            elif kind == "number":
                data = data[:at] + numbers[values[0] % len(numbers)] + data[at + 4 :]
            elif kind == "cut":
                data = data[:at] + data[at + length :]
            elif kind == "end":
                data = data[:at]
            elif kind == "repeat":
                data = data[:at] + data[at : at + length] * (1 + values[0]) + data[at + length :]
            else:
                data = data[:at] + values[:1] * length + data[at + length :]
        return data

    return change


@given(
    name=st.sampled_from(["annotation.proto", "192x192.mp4", "video.mp4"]),
    change=changes(),
    of_index=st.booleans(),
    is_cut_off=st.booleans(),
)
@FEW
def test_changed_bytes_of_a_recording(
    reader: HostileReader, sound: Path, work: Path, name: str, change, of_index: bool, is_cut_off: bool
) -> None:
    path = work / "block-001" / name
    data = (sound / "block-001" / name).read_bytes()
    if is_cut_off:  # before the index that is written at the end: it is a video in fragments
        data = data[: data.rindex(b"moov") - 4] if name.endswith("mp4") else data[:-80]
    begin = data.rindex(b"moo") - 4 if of_index and b"moo" in data else 0
    path.write_bytes(data[:begin] + change(data[begin:]))
    try:
        assert is_used(told(reader, "recordings", work))
    finally:
        shutil.copy(sound / "block-001" / name, path)


def field_values(field: FieldDescriptor) -> st.SearchStrategy[object]:
    """Values of a field, those at the ends of its type among them."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_STRING:
        odd = (
            "",
            "[red]x[/",
            "a\0b",
            "../../x",
            "\x1b]52;c;x\x07",
            "x" * 5000,
            "eyehand.finished",
            "{" * 3000,
            '{"outcome": 1}',
        )
        values = ('"a"', "NaN", "1e999", "null", "[]")
        outcomes = (f'{{"num_frames": 12, "outcome": {{"score": {value}}}}}' for value in values)
        return st.sampled_from([*odd, *outcomes]) | st.text(max_size=20)
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.sampled_from([0.0, -1.0, 1e-30, 3e38, math.inf, -math.inf, math.nan]) | st.floats(width=32)
    bits = 31 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 63
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64:
        return st.sampled_from([0, 2**64 - 1, 2**63]) | st.integers(0, 2**64 - 1)
    return st.sampled_from([0, -1, 2**bits - 1, -(2**bits)]) | st.integers(-(2**bits), 2**bits - 1)


def set_one(draw: Callable, message: Message) -> None:
    """Set a drawn field of a message, or of one inside it."""
    field = draw(st.sampled_from([*message.DESCRIPTOR.fields]))
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if is_map:
        inner = getattr(message, field.name)[draw(st.sampled_from(["a", "gemma", "wordllama"]))]
        set_one(draw, inner)
    elif field.message_type is not None and field.is_repeated:
        items = getattr(message, field.name)
        set_one(
            draw, items[draw(st.integers(0, len(items) - 1))] if len(items) and draw(st.booleans()) else items.add()
        )
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
        set_one(draw, getattr(message, field.name))
    elif field.is_repeated:
        getattr(message, field.name).extend(
            draw(st.lists(field_values(field), max_size=4)) * draw(st.sampled_from([1, 100]))
        )
    else:
        setattr(message, field.name, draw(field_values(field)))


@given(data=st.data(), count=st.integers(1, 5))
@FEW
def test_values_that_no_recorder_writes(reader: HostileReader, sound: Path, work: Path, data, count: int) -> None:
    path = work / "block-001" / "annotation.proto"
    message = pb.VideoAnnotation.FromString((sound / "block-001" / "annotation.proto").read_bytes())
    for _ in range(count):
        frame = message.frame_annotations[data.draw(st.integers(0, 11))]
        places = (message, message.metadata, message.changelog[-1], frame, frame.user_action)
        set_one(data.draw, places[data.draw(st.integers(0, len(places) - 1))])
    path.write_bytes(message.SerializeToString())
    try:
        assert is_used(told(reader, "recordings", work))
    finally:
        shutil.copy(sound / "block-001" / "annotation.proto", path)


ODD_TEXT = "\0[red]\x1b]52;c;eA==\x07</script>\u202e{0}\ufffe"
ODD_NUMBERS = ("", "a", "-1", "1e9", "nan", "0x10", "9" * 30, "0", "1,2", "\u0663")
PAX_KEYS = (
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.realsize"),
    *("GNU.sparse.name", "GNU.sparse.numblocks", "size", "path", "mtime", "uid", "linkpath", "hdrcharset"),
)
HEADER_FIELDS = (
    (0, 100),
    (100, 8),
    (108, 8),
    (124, 12),
    (136, 12),
    (156, 1),
    (157, 100),
    (257, 8),
    (345, 155),
    (386, 97),
)


def tar_of(sound: Path, pax: dict[str, str]) -> bytearray:
    """A tar of both recordings; the members of `block-001` have these PAX headers."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("block-000", "block-001"):
            for part in ("annotation.proto", "192x192.mp4"):
                content = (sound / name / part).read_bytes()
                member = tarfile.TarInfo(f"{name}/{part}")
                member.size, member.pax_headers = len(content), pax if name == "block-001" else {}
                tar.addfile(member, io.BytesIO(content))
    return bytearray(file.getvalue())


@given(
    pax=st.dictionaries(st.sampled_from(PAX_KEYS), st.sampled_from(ODD_NUMBERS) | st.text(max_size=5), max_size=4),
    fields=st.lists(st.tuples(st.sampled_from(HEADER_FIELDS), st.binary(min_size=1, max_size=12)), max_size=2),
    is_compressed=st.booleans(),
    change=st.none() | changes(),
)
@FEW
def test_changed_archives(
    reader: HostileReader, sound: Path, work: Path, pax, fields, is_compressed: bool, change
) -> None:
    data = tar_of(sound, {key: value.replace("\0", "") for key, value in pax.items()} if pax else {})
    begin = data.index(b"block-001/")
    begin -= begin % tarfile.BLOCKSIZE
    for (offset, length), value in fields:
        header = data[begin : begin + tarfile.BLOCKSIZE]
        header[offset : offset + length] = value[:length].ljust(length, b"\0")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data[begin : begin + tarfile.BLOCKSIZE] = header
    packed = gzip.compress(bytes(data), 1) if is_compressed else bytes(data)
    path = work.with_name("a.tar.gz" if is_compressed else "a.tar")
    path.write_bytes(packed if change is None else packed[: begin // 2] + change(packed[begin // 2 :]))
    told(reader, "archive", path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny", tiny_policy(TINY))


@given(change=changes(), name=st.sampled_from(["checkpoint.json", "weights.safetensors"]), of_header=st.booleans())
@FEW
def test_changed_bytes_of_a_checkpoint(
    reader: HostileReader, checkpoint: Path, change, name: str, of_header: bool
) -> None:
    folder = Path(shutil.copytree(checkpoint, checkpoint.with_name("changed"), dirs_exist_ok=True))
    data = (checkpoint / name).read_bytes()
    end = 8 + int.from_bytes(data[:8], "little") if of_header and name == "weights.safetensors" else len(data)
    (folder / name).write_bytes(change(data[:end]) + data[end:])
    if name == "weights.safetensors":  # the checksum finds damage, not a forger
        description = (folder / "checkpoint.json").read_text(encoding="utf-8")
        sha256 = description.partition('"weights_sha256": "')[2][:64]
        forged = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "checkpoint.json").write_text(description.replace(sha256, forged), encoding="utf-8")
    told(reader, "checkpoint", folder)


@given(change=changes())
@FEW
def test_changed_bytes_of_a_checkpoint_of_open_p2p(reader: HostileReader, tmp_path_factory, change) -> None:
    path = tmp_path_factory.mktemp("ckpt") / "a.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(5), "b": torch.zeros(2, 2)}, "epoch": 3}, path)
    path.write_bytes(change(path.read_bytes()))
    told(reader, "ckpt", path)


def many_frames(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\x1a\x00" * 300_000)


def a_frame_of_many_events(path: Path) -> None:
    frame = b"\x4a\x00" * 500_000
    path.write_bytes(path.read_bytes() + b"\x1a" + encoded(len(frame)) + frame)


def a_frame_of_many_keys(path: Path) -> None:
    message = pb.VideoAnnotation.FromString(path.read_bytes())
    message.frame_annotations[3].user_action.keyboard.keys.extend(map(str, range(100_000)))
    path.write_bytes(message.SerializeToString())


def a_trigger_that_is_no_number(path: Path) -> None:
    message = pb.VideoAnnotation.FromString(path.read_bytes())
    message.frame_annotations[3].user_action.game_pad.left_trigger = math.nan
    path.write_bytes(message.SerializeToString())


def odd_texts(path: Path) -> None:
    message = pb.VideoAnnotation.FromString(path.read_bytes())
    message.metadata.env.env = message.metadata.user = message.metadata.env.env_subtype = ODD_TEXT
    message.frame_annotations[3].user_action.keyboard.keys.append(ODD_TEXT)
    message.frame_annotations[0].frame_text_annotation[0].instruction = ODD_TEXT
    path.write_bytes(message.SerializeToString())


def much_about_the_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\x42\x00" * 10_000_000)


def a_terabyte(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def encoded(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80]) + encoded(number >> 7) if number > 0x7F else bytes([number])


def test_bombs_and_what_is_no_file(reader: HostileReader, sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "block-000", tmp_path / "data" / "block-000")
    bombs = [
        (bomb, "annotation.proto")
        for bomb in (many_frames, a_frame_of_many_events, a_frame_of_many_keys, a_trigger_that_is_no_number)
    ]
    bombs += [(odd_texts, "annotation.proto"), (much_about_the_whole, "annotation.proto")]
    parts = ("annotation.proto", "192x192.mp4", "video.mp4")
    bombs += [(bomb, part) for bomb in (a_terabyte, pipe, endless) for part in parts]
    attacked = [moving_block.record(tmp_path / "data", seed=seed, num_frames=5) for seed in range(1, 1 + len(bombs))]
    for path, (bomb, part) in zip(attacked, bombs, strict=True):
        bomb(path / part)
    sentences = told(reader, "recordings", tmp_path / "data")
    assert is_used(sentences)
    for path, bomb in zip(attacked, bombs, strict=True):
        assert any(path.name in sentence for sentence in sentences), bomb


def test_a_small_archive_of_many_frames(reader: HostileReader, sound: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(sound / "block-000", "good")
        content = b"\x1a\x00" * 75_000_000
        member = tarfile.TarInfo("bomb/annotation.proto")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
        tar.add(sound / "block-001" / "192x192.mp4", "bomb/192x192.mp4")
    assert (tmp_path / "a.tar.gz").stat().st_size < 500_000
    given_up, good = told(reader, "archive", tmp_path / "a.tar.gz")
    assert good == ""
    assert "grows more than 100-fold" in given_up


def test_large_pictures_are_decoded_one_by_one(reader: HostileReader, sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "data")
    path = tmp_path / "data" / "block-001" / "video.mp4"
    writer = VideoWriter(path, 2048, 4096, 20.0, {"preset": "ultrafast"})
    for _ in range(12):
        writer.write(np.zeros((2048, 4096, 3), np.uint8))
    writer.close()
    sentences = told(reader, "recordings", tmp_path / "data")
    assert not any("damaged" in sentence for sentence in sentences)
