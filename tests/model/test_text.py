"""Instructions become vectors: offline, deterministic, distinguishable."""

from __future__ import annotations

import itertools
import socket
import sys

import numpy as np
import pytest

from eyehand.errors import UserError
from eyehand.model.text import WordLlamaEncoder, text_encoder

INSTRUCTIONS = (
    "shoot the monster",
    "dodge the fireballs",
    "collect the medikits",
    "go to the armour",
    "explore the level",
    "turn left",
    "turn right",
)


def test_unit_length_and_deterministic() -> None:
    first, second = WordLlamaEncoder(), WordLlamaEncoder()
    for text in INSTRUCTIONS:
        vectors = first.embed(text)
        assert vectors.shape == (1, 256)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(vectors, second.embed(text))


def test_nothing_said_is_zeros() -> None:
    encoder = text_encoder("wordllama")
    for text in (None, "", "  \n"):
        assert not encoder.embed(text).any()


def test_instructions_differ() -> None:
    encoder = text_encoder("wordllama")
    for one, other in itertools.combinations(INSTRUCTIONS, 2):
        assert float(encoder.embed(one)[0] @ encoder.embed(other)[0]) < 0.95, (one, other)
    same = float(encoder.embed("shoot the monster")[0] @ encoder.embed("shoot all the monsters")[0])
    assert same > float(encoder.embed("shoot the monster")[0] @ encoder.embed("collect the medikits")[0])


def test_no_connection_is_attempted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert WordLlamaEncoder().embed("go").any()


def test_cached_vectors_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        text_encoder("wordllama").embed("go")[0, 0] = 1


def test_missing_package_and_unknown_name_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="'gemma' is not available"):
        text_encoder("gemma")
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(UserError, match="pip install wordllama"):
        WordLlamaEncoder().embed("go")
