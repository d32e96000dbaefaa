"""Actions from the commands of a Doom demo: 35 commands a second become 20 Actions a second, with the input events.

A command states speeds, an Action holds keys: those are taken whose speeds are nearest (w, a, s, d at 25 and 24, with
LeftShift at 50 and 40). Attack is the left mouse button, use is Space, weapons are the number keys that select them,
all as in the doom/ games. A turn is mouse motion of 10 pixels a degree; fractions are carried on, so that no angle is
lost. A tick holds the keys that are down at its end and those that went down in it, as in every recording of a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.clock import SECOND_NS
from eyehand.formats.doom.lmp import ATTACK, SPECIAL, TURN_UNITS, USE, weapon_of
from eyehand.games.doom.controls import TICKS_PER_SECOND, tics_of_tick
from eyehand.input_event import InputEvent
from eyehand.recording.events import events_between

__all__ = ["DemoTick", "action_of_command", "ticks_of"]

_PIXELS_PER_TURN = 3600
_TICK_NS = SECOND_NS // TICKS_PER_SECOND
_KEY_OF_WEAPON = ("1", "2", "3", "4", "5", "6", "7", "1", "3")
_GAITS = ((25, 24), (50, 40))
"""Speeds of walking and running, forward and sideways, in the units of a command."""


@dataclass(frozen=True)
class DemoTick:
    """One tick of a demo: the action between one recorded picture and the next.

    Attributes:
        picture: number of the picture that it ends with, which shows what came of it.
        action: what is held and moved.
        events: what went down, up and moved, in the order of time, ns from the first picture on.
    """

    picture: int
    action: Action
    events: tuple[InputEvent, ...]


def ticks_of(commands_TC: NDArray[np.int32], *, has_four_weapon_bits: bool) -> Iterator[DemoTick]:
    """The ticks of one player's commands; int32 (tics, 4), see `LmpDemo`.

    Picture k shows the effect of command k, so the first tick begins with picture 0, and with command 1.
    """
    held = NOTHING
    units = pixels = 0
    picture = 0
    for tick in range(len(commands_TC)):
        num_tics = tics_of_tick(tick)
        if picture + num_tics >= len(commands_TC):
            return
        events, pressed, dx = [], NOTHING, 0
        for tic in range(num_tics):
            forward, side, turn, buttons = map(int, commands_TC[picture + 1 + tic])
            units -= turn
            moved = _rounded(units * _PIXELS_PER_TURN, TURN_UNITS) - pixels
            pixels += moved
            dx += moved
            now = replace(action_of_command(forward, side, buttons, has_four_weapon_bits), dx=moved)
            events += events_between(held, now, tick * _TICK_NS + tic * _TICK_NS // num_tics)
            pressed = Action(pressed.keys | (now.keys - held.keys), pressed.buttons | (now.buttons - held.buttons))
            held = now.held()
        action = Action(held.keys | pressed.keys, held.buttons | pressed.buttons, dx=dx)
        picture += num_tics
        yield DemoTick(picture, action, tuple(replace(event, is_simulated=False) for event in events))


@lru_cache(4096)
def action_of_command(forward: int, side: int, buttons: int, has_four_weapon_bits: bool = False) -> Action:
    """The keys and buttons held for this command, without the motion of its turn."""
    keys = set(_walking_keys(forward, side))
    if buttons & SPECIAL:
        return Action(frozenset(keys))
    if buttons & USE:
        keys.add("Space")
    weapon = weapon_of(buttons, has_four_bits=has_four_weapon_bits)
    if weapon is not None and weapon < len(_KEY_OF_WEAPON):
        keys.add(_KEY_OF_WEAPON[weapon])
    return Action(frozenset(keys), frozenset({"0"} if buttons & ATTACK else ()))


def _walking_keys(forward: int, side: int) -> tuple[str, ...]:
    """The keys whose speeds are nearest to these, as few as can be."""

    def cost(choice: tuple[tuple[int, int], int, int]) -> tuple[int, int]:
        (ahead, aside), y, x = choice
        return abs(forward - y * ahead) + abs(side - x * aside), abs(x) + abs(y)

    gait, y, x = min(product(_GAITS, (0, 1, -1), (0, 1, -1)), key=cost)
    keys = [*("w" if y > 0 else "s" if y else ""), *("d" if x > 0 else "a" if x else "")]
    return (*keys, "LeftShift") if keys and gait is _GAITS[1] else tuple(keys)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
