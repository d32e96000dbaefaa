"""Tokenisation of Actions: `ActionSpace` encodes them as token ids and decodes these; the only place with the bins.

An `ActionSpace` is a fixed list of slots. Each slot takes its id from one of the heads (keys, mouse buttons, dx, dy,
and for `FULL` the two scroll axes); several slots may share a head. `P2P` is the reference's vocabulary, so that its
weights and ours mean the same numbers; `FULL` reaches every key. `ActionSpace.independent` is the same vocabulary with
a slot of its own for every key and button. A checkpoint names its space, nothing else needs it.

Source of the P2P tables and rules: Open Pixels2Play, arXiv 2601.04575, and its public code.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.errors import UserError

__all__ = ["ACTION_SPACES", "FULL", "P2P", "ActionSpace", "Axis", "Head", "MouseSampling", "action_space", "p2p_space"]

MouseSampling = Literal["mean", "conservative", "truncated_normal"]
"""Three ways from a motion bin back to pixels. The default of the reference is `truncated_normal`."""


@dataclass(frozen=True)
class Head:
    """One softmax: its name, its number of choices, how many consecutive slots draw from it, its weight in the loss.

    `weight` multiplies the mean cross-entropy of its slots divided by ln(choices).
    """

    name: str
    num_choices: int
    num_slots: int
    weight: float = 1.0


@dataclass(frozen=True)
class Axis:
    """A motion axis cut into bins.

    Bin b holds the values v with exactly b edges strictly below v (torch.bucketize, right=False).

    Attributes:
        edges: ascending, one fewer than there are bins.
        mean, conservative: pixels for each bin under these two samplings.
        std: standard deviation in pixels of the zero-mean normal that `truncated_normal` cuts to the bin.
    """

    edges: tuple[float, ...]
    mean: tuple[int, ...]
    conservative: tuple[int, ...]
    std: float

    @property
    def num_bins(self) -> int:
        return len(self.edges) + 1

    def bin_of(self, pixels: float) -> int:
        """The bin that holds this many pixels."""
        return bisect_left(self.edges, pixels)

    def pixels_of(self, index: int, sampling: MouseSampling, rng: np.random.Generator | None) -> int:
        """Pixels for a bin. `rng` is needed for `truncated_normal` only (without it: the bin's mean)."""
        if sampling == "conservative":
            return self.conservative[index]
        if sampling == "mean" or rng is None:
            return self.mean[index]
        if index == 0:
            return round(self.edges[0] - 1)
        if index == len(self.edges):
            return round(self.edges[-1] + 1)
        low, high = self._whole_numbers(index)
        return _truncated_normal(low, high, self.std, rng.random())

    def _whole_numbers(self, index: int) -> tuple[int, int]:
        """The smallest and the largest whole number inside an inner bin (edges[i-1], edges[i]]."""
        return math.floor(self.edges[index - 1]) + 1, math.floor(self.edges[index])


def _truncated_normal(low: int, high: int, std: float, uniform: float) -> int:
    """Inverse-CDF draw from N(0, std) cut to [low, high], rounded to a whole number."""
    if low >= high:
        return low
    below, width = _normal_interval(low, high, std)
    probability = min(max(below + uniform * width, 1e-12), 1 - 1e-12)
    return min(max(round(std * _standard_normal().inv_cdf(probability)), low), high)


@lru_cache(maxsize=256)
def _normal_interval(low: int, high: int, std: float) -> tuple[float, float]:
    normal = _standard_normal()
    below = normal.cdf(low / std)
    return below, normal.cdf(high / std) - below


@lru_cache(maxsize=1)
def _standard_normal() -> NormalDist:

    return NormalDist()


@dataclass(frozen=True)
class ActionSpace:
    """A vocabulary of action tokens.

    Slots, in order: keys, mouse buttons, dx, dy, then scroll dx and dy where the space has them. Id 0 of a key or
    button slot means "none".

    Attributes:
        keys: the keys that have an id; the key at position i has id i + 1.
        buttons: likewise for mouse buttons.
        num_key_slots, num_button_slots: of the keys and buttons held at once; ids are sorted, the rest is cut off.
        dx, dy: the motion axes.
        scroll: the axis of both scroll slots, or None for a space without scrolling.
        is_independent: every key and button has a slot of its own: 0 is up, 1 is held. No slot depends on another.
    """

    name: str
    keys: tuple[str, ...]
    num_key_slots: int
    buttons: tuple[str, ...]
    num_button_slots: int
    dx: Axis
    dy: Axis
    scroll: Axis | None = None
    is_independent: bool = False

    @cached_property
    def independent(self) -> ActionSpace:
        """The same vocabulary with a slot of its own for every key and button."""
        keys, buttons = len(self.keys), len(self.buttons)
        return replace(self, num_key_slots=keys, num_button_slots=buttons, is_independent=True)

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """The softmaxes in slot order."""
        axes = {"dx": self.dx, "dy": self.dy}
        if self.scroll is not None:
            axes |= {"scroll_dx": self.scroll, "scroll_dy": self.scroll}
        if self.is_independent:
            # The loss is the action's negative log-likelihood in nats, that of motion by half: a bin off is no miss.
            held = [
                Head(name, 2, count, count * math.log(2))
                for name, count in (("keys", self.num_key_slots), ("buttons", self.num_button_slots))
            ]
            moved = [Head(name, axis.num_bins, 1, 0.5 * math.log(axis.num_bins)) for name, axis in axes.items()]
        else:
            held = [
                Head("keys", len(self.keys) + 1, self.num_key_slots),
                Head("buttons", len(self.buttons) + 1, self.num_button_slots),
            ]
            moved = [Head(name, axis.num_bins, 1) for name, axis in axes.items()]
        return (*held, *moved)

    @cached_property
    def num_slots(self) -> int:
        return sum(head.num_slots for head in self.heads)

    @cached_property
    def head_of_slot(self) -> tuple[int, ...]:
        """Index in `heads` of each slot's softmax."""
        return tuple(index for index, head in enumerate(self.heads) for _ in range(head.num_slots))

    @cached_property
    def token_dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest dtype that holds every token id: uint8 unless a head has more than 256 choices."""
        return np.min_scalar_type(max(head.num_choices for head in self.heads) - 1)

    def encode(self, action: Action) -> NDArray[np.int64]:
        """Token ids of an Action, shape (num_slots,). Keys and buttons that the space lacks are dropped."""
        if self.is_independent:
            ids = [int(key in action.keys) for key in self.keys]
            ids += [int(button in action.buttons) for button in self.buttons]
        else:
            ids = _held_ids(action.keys, _ids(self.keys), self.num_key_slots)
            ids += _held_ids(action.buttons, _ids(self.buttons), self.num_button_slots)
        ids += [self.dx.bin_of(action.dx), self.dy.bin_of(action.dy)]
        if self.scroll is not None:
            ids += [self.scroll.bin_of(action.scroll_dx), self.scroll.bin_of(action.scroll_dy)]
        return np.array(ids, dtype=np.int64)

    def decode(
        self,
        ids: Sequence[int] | NDArray[np.int64],
        sampling: MouseSampling = "truncated_normal",
        rng: np.random.Generator | None = None,
    ) -> Action:
        """The Action of `num_slots` token ids.

        Raises:
            ValueError: wrong number of ids, or an id outside its head.
        """
        tokens = [int(i) for i in ids]
        if len(tokens) != self.num_slots:
            raise ValueError(f"{self.name} actions have {self.num_slots} tokens, got {len(tokens)}")
        position = 0
        for head in self.heads:
            for token in tokens[position : position + head.num_slots]:
                if not 0 <= token < head.num_choices:
                    raise ValueError(f"token {token} is outside the {head.num_choices} choices of {head.name}")
            position += head.num_slots
        key_ids = tokens[: self.num_key_slots]
        button_ids = tokens[self.num_key_slots : self.num_key_slots + self.num_button_slots]
        motion = tokens[self.num_key_slots + self.num_button_slots :]
        scroll_dx, scroll_dy = 0, 0
        if self.scroll is not None:  # a wheel turns by whole notches: nothing is drawn
            scroll_dx, scroll_dy = (self.scroll.pixels_of(token, "mean", None) for token in motion[2:4])
        if self.is_independent:
            key_ids, button_ids = ([i * held for i, held in enumerate(ids, 1)] for ids in (key_ids, button_ids))
        return Action(
            keys=frozenset(self.keys[i - 1] for i in key_ids if i),
            buttons=frozenset(self.buttons[i - 1] for i in button_ids if i),
            dx=self.dx.pixels_of(motion[0], sampling, rng),
            dy=self.dy.pixels_of(motion[1], sampling, rng),
            scroll_dx=scroll_dx,
            scroll_dy=scroll_dy,
        )


@lru_cache(maxsize=16)
def _ids(names: tuple[str, ...]) -> dict[str, int]:
    return {name: index + 1 for index, name in enumerate(names)}


def _held_ids(held: frozenset[str], ids: dict[str, int], num_slots: int) -> list[int]:
    """Ids of what is held, ascending, cut to `num_slots`, padded with 0 at the end (the reference's rule)."""
    known = sorted(ids[name] for name in held if name in ids)[:num_slots]
    return known + [0] * (num_slots - len(known))


_DX = Axis(
    edges=(
        *(-500.1, -144.1, -76.1, -46.1, -29.1, -18.1, -11.1, -6.1, -3.1, -1.1, -0.1),
        *(0, 1, 3, 6, 11, 18, 29, 46, 76, 144, 500),
    ),
    mean=(-501, -322, -110, -61, -38, -24, -15, -9, -5, -2, -1, 0, 1, 2, 5, 9, 15, 24, 38, 61, 110, 322, 501),
    conservative=(-501, -145, -77, -47, -30, -19, -12, -7, -4, -2, -1, 0, 1, 2, 4, 7, 12, 19, 30, 47, 77, 145, 501),
    std=96.0,
)
_DY = Axis(
    edges=(-150.1, -24.1, -12.1, -7.1, -4.1, -3.1, -1.1, -0.1, 0, 1, 3, 4, 7, 12, 24, 150),
    mean=(-151, -87, -18, -10, -6, -4, -2, -1, 0, 1, 2, 4, 6, 10, 18, 87, 151),
    conservative=(-151, -25, -13, -8, -5, -4, -2, -1, 0, 1, 2, 4, 5, 8, 13, 25, 151),
    std=22.0,
)
# A notch of the wheel is 120 (PIXELS_PER_NOTCH), and 1 to 15 in what some systems recorded: the bins keep both apart.
_SCROLL = Axis(
    edges=(-240.1, -120.1, -32.1, -8.1, -2.1, -0.1, 0, 2, 8, 32, 120, 240),
    mean=(-360, -240, -120, -20, -5, -1, 0, 1, 5, 20, 120, 240, 360),
    conservative=(-241, -121, -33, -9, -3, -1, 0, 1, 3, 9, 33, 121, 241),
    std=60.0,
)

P2P = ActionSpace(
    name="p2p",
    keys=(
        *("Space", "1", "2", "3", "4", "a", "d", "e", "f", "q", "w", "s", "z"),
        *("DownArrow", "UpArrow", "LeftArrow", "RightArrow", "LeftShift", "RightShift"),
    ),
    num_key_slots=4,
    buttons=BUTTONS[:3],
    num_button_slots=2,
    dx=_DX,
    dy=_DY,
)
"""The vocabulary of Open P2P's weights: 20 key ids (with "none"), 4 button ids, 23 x 17 motion bins, 8 slots."""

FULL = ActionSpace(
    name="full", keys=KEYS, num_key_slots=8, buttons=BUTTONS, num_button_slots=5, dx=_DX, dy=_DY, scroll=_SCROLL
)
"""Every key of the recording format, eight at once, five mouse buttons, and the wheel."""

ACTION_SPACES: dict[str, ActionSpace] = {space.name: space for space in (P2P, FULL)}


_P2P_VARIANT = re.compile(r"p2p-([1-6])k([1-3])b")


def p2p_space(num_key_slots: int = 4, num_button_slots: int = 2) -> ActionSpace:
    """`P2P` with other numbers of slots: the reference allows 1 to 6 keys and 1 to 3 buttons at once."""
    if (num_key_slots, num_button_slots) == (P2P.num_key_slots, P2P.num_button_slots):
        return P2P
    return action_space(f"p2p-{num_key_slots}k{num_button_slots}b")


def action_space(name: str) -> ActionSpace:
    """The ActionSpace of this name: one of ACTION_SPACES, or `p2p-6k3b` and the like (see `p2p_space`).

    Raises:
        UserError: there is none.
    """
    if match := _P2P_VARIANT.fullmatch(name):
        return replace(P2P, name=name, num_key_slots=int(match[1]), num_button_slots=int(match[2]))
    if name not in ACTION_SPACES:
        raise UserError(f"Unknown action space {name!r}: choose one of {', '.join(ACTION_SPACES)}.")
    return ACTION_SPACES[name]
