"""`LabelStore`: the labels of all episodes in shared memory, each read from its annotation on first access.

Reading the annotations of a thousand recordings takes a minute, and a batch needs those of eight. So the store takes
every episode's length from the index, reserves memory for all labels, and fills in an episode's on first access, for
all forked processes. Unused pages take no memory. Knows nothing about clips and pictures.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action_space import ActionSpace
from eyehand.errors import UserError
from eyehand.recording.labels import Labels

__all__ = ["ChangedError", "LabelStore", "shared_bytes"]


class LabelStore:
    """Labels of E episodes, one behind the other; N counts their steps, A the action slots.

    The arrays hold zeros where an episode was not read yet: call `load` or `load_all` first.

    Attributes:
        executed_NA, target_NA: tokens, of the space's `token_dtype`.
        learn_N: bool, whether the target is known.
        text_N: int32 rows of the table of instructions.
        is_loaded_E: bool, whether an episode's labels were read, by any process.
    """

    def __init__(
        self,
        num_steps: Sequence[int],
        space: ActionSpace,
        instructions: Sequence[str | None],
        read: Callable[[int], Labels],
    ) -> None:
        """Args:
        num_steps: of every episode.
        space: the vocabulary of the tokens.
        instructions: the table: every distinct instruction, None first.
        read: gives the labels of an episode, by its number. What it raises, `load` raises.
        """
        self._num_steps = tuple(num_steps)
        self._first_step = np.concatenate([[0], np.cumsum(num_steps, dtype=np.int64)]).tolist()
        self._row_of = {text: row for row, text in enumerate(instructions)} | {"": 0}
        self._read = read
        total, slots, dtype = self._first_step[-1], space.num_slots, space.token_dtype
        self.executed_NA, self.target_NA = (
            shared_bytes(total * slots * dtype.itemsize).view(dtype).reshape(total, slots) for _ in range(2)
        )
        self.learn_N: NDArray[np.bool_] = shared_bytes(total).view(np.bool_)
        self.text_N: NDArray[np.int32] = shared_bytes(total * 4).view(np.int32)
        self.is_loaded_E = shared_bytes(len(self._num_steps))

    def first_step(self, episode: int) -> int:
        """The first row of an episode in the arrays."""
        return int(self._first_step[episode])

    def load(self, episode: int) -> None:
        """Read an episode's labels if no process has yet."""
        if not self.is_loaded_E[episode]:
            self.fill(episode, self._read(episode))

    def fill(self, episode: int, labels: Labels) -> None:
        """Write an episode's labels. Several processes may do so: they write the same, and the flag last.

        Raises:
            ChangedError: their length differs from the index, or the table lacks an instruction of theirs.
        """
        first, length = self._first_step[episode], self._num_steps[episode]
        if len(labels.target_mask_T) != length:
            raise ChangedError(f"{len(labels.target_mask_T)} steps instead of {length}")
        here = slice(first, first + length)
        unknown = set(labels.instructions) - self._row_of.keys()
        if unknown:
            raise ChangedError(f"the instruction {min(map(str, unknown))[:100]!r}")
        self.executed_NA[here], self.target_NA[here] = labels.executed_TA, labels.target_TA
        self.learn_N[here] = labels.target_mask_T
        self.text_N[here] = [self._row_of[text] for text in labels.instructions]
        self.is_loaded_E[episode] = 1


class ChangedError(Exception):
    """The labels of an episode are not those that were indexed: what differs."""


def shared_bytes(num_bytes: int) -> NDArray[Any]:
    """Zeroed uint8 memory that forked processes share; pages are taken only when first written.

    Raises:
        UserError: this machine has not so much.
    """
    try:
        memory = mmap.mmap(-1, max(num_bytes, 1))
    except (OSError, OverflowError) as error:
        raise UserError(f"{num_bytes / 1e9:,.1f} GB of memory are not to be had: use less data.") from error
    return np.frombuffer(memory, dtype=np.uint8)[:num_bytes]
