"""Scores of desktop games: real pictures of a real game are read or refused, and so are lines of growing files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyehand.desktop.profile import load_profile
from eyehand.desktop.score import Score
from eyehand.desktop.screen_number import DigitReader, read_examples
from eyehand.errors import UserError
from eyehand.games.desktop.score import SHARE_READ, ScoreWatch, check_was_read, lines_number, screen_number

SHOWN = Path(__file__).parent / "chromium_bsu_scores"
"""Rectangles of play that no example was taken from, named by what they show; none: covered by a ship or a fire."""

NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


@pytest.fixture(scope="module")
def screen() -> object:
    score = load_profile("chromium-bsu").score
    assert score is not None
    assert score.screen is not None
    return score.screen


def _window(rectangle: np.ndarray, *, is_bgrx: bool = False) -> np.ndarray:
    window = np.zeros((480, 640, 4 if is_bgrx else 3), np.uint8)
    window[462:474, 63:131, :3] = rectangle[..., ::-1] if is_bgrx else rectangle
    return window


@pytest.mark.parametrize("path", sorted(SHOWN.glob("*.png")), ids=lambda path: path.stem)
def test_a_number_on_the_screen_is_read_or_refused(path: Path, screen: object) -> None:
    rectangle = np.asarray(Image.open(path).convert("RGB"))
    expected = None if path.stem.startswith("none") else float(path.stem)
    for is_bgrx in (False, True):
        look = screen_number(screen, (640, 480))  # type: ignore[arg-type]
        window = _window(rectangle, is_bgrx=is_bgrx)
        assert [look(window) for _ in range(4)] == [None, None, expected, expected], "thrice the same counts"
        assert look(window[:240]) is None, "a window of another size"


def test_no_picture_that_is_no_number_is_read(screen: object) -> None:
    """Noise, flat colours, and every example with any of its digits painted over."""
    examples = read_examples(Path(screen.examples), (68, 12))  # type: ignore[attr-defined]
    reader = DigitReader(examples, 7)
    rng = np.random.default_rng(0)
    assert {reader.read(rng.integers(0, 256, (12, 68, 3)).astype(np.uint8)) for _ in range(200)} == {None}
    assert reader.read(np.zeros((12, 68, 3), np.uint8)) is None
    for text, picture in examples:
        assert reader.read(picture) == int(text)
        for cell in range(7):
            covered = picture.copy()
            covered[:, cell * 68 // 7 : (cell + 1) * 68 // 7] = rng.integers(0, 256, 3)
            assert reader.read(covered) is None


def test_blank_cells_stand_before_or_behind_the_number() -> None:
    rng = np.random.default_rng(1)
    digits = rng.integers(0, 256, (10, 9, 6, 3)).astype(np.uint8)

    def drawn(text: str) -> np.ndarray:
        return np.concatenate([np.full((9, 6, 3), 40, np.uint8) if c == "_" else digits[int(c)] for c in text], 1)

    reader = DigitReader([(text, drawn(text)) for text in ("_012", "_345", "_678", "__19")], 4)
    for text, number in (("__42", 42), ("___0", 0), ("9999", 9999), ("7___", 7), ("4_2_", None), ("____", None)):
        assert reader.read(drawn(text)) == number
    with pytest.raises(UserError, match="show no 3, no 4, no 5, no 6, no 7, no 8, no 9"):
        DigitReader([("_012", drawn("_012"))], 4)


def test_examples_that_do_not_fit_are_one_sentence(tmp_path: Path, screen: object) -> None:
    def reading(**files: bytes) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, data in files.items():
            (folder / f"{name}.png").write_bytes(data)
        with pytest.raises(UserError) as caught:
            screen_number(replace(screen, examples=str(folder)), (640, 480))  # type: ignore[type-var]
        return str(caught.value)

    one = (SHOWN / "0002675.png").read_bytes()
    assert "holds 0 pictures" in reading()
    assert "not named by the number" in reading(score=one)
    assert "is no picture" in reading(**{"0000000": b"GIF89a"})
    assert "shows 3 characters, not 7" in reading(**{"000": one})
    assert "show no 1, no 3, no 4" in reading(**{"0002675": one, "0002675-2": one})
    Image.new("RGB", (5, 5)).save(tmp_path / "small.png")
    assert "has 5x5 pixels, and the rectangle 68x12" in reading(**{"0000000": (tmp_path / "small.png").read_bytes()})
    with pytest.raises(UserError, match="cannot be read"):
        screen_number(replace(screen, examples=str(tmp_path / "none")), (640, 480))  # type: ignore[type-var]


def test_the_last_line_that_matches_counts(tmp_path: Path) -> None:
    path = tmp_path / "games.log"
    look = lines_number(r"PlayerScore: 0 (-?\d+):", path)
    assert look(NO_PICTURE) == 0, "the game has not written yet"
    path.write_bytes(b"0:01 PlayerScore: 0 3: a\n0:02 PlayerScore: 1 9: b\n\xff\0\n0:03 PlayerScore: 0 4")
    assert look(NO_PICTURE) == 3, "a line counts when it is whole"
    with path.open("ab") as file:
        file.write(b"2: a\n")
    assert look(NO_PICTURE) == 42
    with path.open("ab") as file:
        file.write(b"x" * 300 + b"PlayerScore: 0 7:\n" + b"PlayerScore: 0 " + b"9" * 150 + b"\n")
    assert look(NO_PICTURE) == 42, "behind the first characters of a line nothing counts"
    path.write_bytes(b"PlayerScore: 0 -1:\n")
    assert look(NO_PICTURE) == -1, "a file that begins anew is read anew"
    with path.open("ab") as file:
        file.truncate(1 << 32)
        file.seek(0, 2)
        file.write(b"\nPlayerScore: 0 5:\n")
    assert look(NO_PICTURE) == 5, "of what is written at once only the last megabyte is read"


def test_numbers_that_begin_anew_add_up() -> None:
    numbers = iter([None, 5.0, 5.0, 2.0, None, 4.0, 0.0])
    watch = ScoreWatch(Score("points", adds_up=True), lambda _: next(numbers))
    outcomes = [watch.outcome(NO_PICTURE, done=False) for _ in range(7)]
    assert [outcome.score for outcome in outcomes] == [0, 5, 5, 7, 7, 9, 9]
    assert outcomes[-1].facts == {SHARE_READ: 5 / 7}
    with pytest.raises(UserError, match="never read"):
        check_was_read("x", outcomes[0].facts)
    check_was_read("x", outcomes[1].facts)
