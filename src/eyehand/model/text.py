"""Frozen text encoders for instructions, by name, offline.

`text_encoder(name)` gives an encoder; `embed(None)` gives zeros, which the policy replaces by its learned "no text"
vector. Data set, live play and evaluation all embed here, so that one sentence is one vector everywhere. Knows no
network beyond the encoder's own tables, and never opens a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError

__all__ = ["TEXT_ENCODERS", "TextEncoder", "WordLlamaEncoder", "text_encoder"]


class TextEncoder(Protocol):
    """A frozen text encoder.

    Attributes:
        name: in checkpoints.
        num_tokens, dim: shape of one embedded instruction.
    """

    name: str
    num_tokens: int
    dim: int

    def embed(self, text: str | None) -> NDArray[np.float32]:
        """The embedding of an instruction, float32 (num_tokens, dim); zeros for None or blank text. Read-only."""
        ...


class WordLlamaEncoder:
    """256-d mean of token vectors distilled from Llama 2 (the tables that the wordllama package ships), unit length."""

    name = "wordllama"
    num_tokens = 1
    dim = 256

    def __init__(self) -> None:
        self._model: Any = None
        self._embed = lru_cache(maxsize=4096)(self._embed_uncached)

    def embed(self, text: str | None) -> NDArray[np.float32]:
        """See `TextEncoder.embed`. Cached.

        Raises:
            UserError: the wordllama package is missing or incomplete.
        """
        return self._embed(None if text is None else text.strip())

    def _embed_uncached(self, text: str | None) -> NDArray[np.float32]:
        vectors = np.zeros((self.num_tokens, self.dim), dtype=np.float32)
        if text:
            if self._model is None:
                self._model = _load_wordllama()
            vectors[0] = self._model.embed([text], norm=True)[0]
            if not np.isfinite(vectors).all():  # a text without one known token has no direction
                vectors[:] = 0
        vectors.flags.writeable = False  # the cache hands out one array many times
        return vectors


def _load_wordllama() -> Any:
    """The model, from the files of the installed package only."""
    try:
        import wordllama
    except ImportError as error:
        raise UserError("Text instructions need the wordllama package: run `pip install wordllama`.") from error
    package = Path(wordllama.__file__).parent
    # Both checked here, because the package would ask Hugging Face for a tokenizer that it does not find.
    for path in (
        package / "weights" / "l2_supercat_256.safetensors",
        package / "tokenizers" / "l2_supercat_tokenizer_config.json",
    ):
        if not path.is_file():
            raise UserError(f"The wordllama package lacks {path.name}: run `pip install --force-reinstall wordllama`.")
    return wordllama.WordLlama.load("l2_supercat", cache_dir=package, dim=256, disable_download=True)


TEXT_ENCODERS: dict[str, Callable[[], TextEncoder]] = {"wordllama": WordLlamaEncoder}


@lru_cache(maxsize=8)
def text_encoder(name: str) -> TextEncoder:
    """The encoder of this name; one instance per process.

    Raises:
        UserError: there is none.
    """
    if name not in TEXT_ENCODERS:
        raise UserError(
            f"Text encoder {name!r} is not available here (there is {', '.join(TEXT_ENCODERS)}): give no instruction "
            '(--instruction ""), or train with an encoder that is.'
        )
    return TEXT_ENCODERS[name]()
