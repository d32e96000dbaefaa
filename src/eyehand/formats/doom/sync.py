"""Agreement of a demo with the WADs that it is played with: do its players walk as their commands say?

A demo holds commands, not places. Played with other levels it still runs, but its players soon walk into walls, or lie
dead while their keys go on being pressed. So the walk that Doom's physics makes of the commands is compared with that
which came of them, wherever the player can walk at all. The 16 demos in Debian's and ViZDoom's freedoom1 and freedoom2
go where they are told in 91 to 98% of these tics; with another WAD or in another level 100 of 112 are below 88%.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyehand.formats.doom.dsda import Replay
from eyehand.formats.doom.lmp import LmpDemo

__all__ = ["IN_STEP", "Agreement", "in_step"]

IN_STEP = 0.88
"""Less than this is not played as it was recorded."""

_FRICTION = 0xE800 / 0x10000
_THRUST = 2048 / 65536  # map units a tic, of each unit of a command
_NEAR = 1.5  # map units; running is up to 16 a tic
_STILL = 0.1  # map units
_MIN_TICS = 70
_DEAD_TICS, _DEAD_SHARE = 175, 0.3


@dataclass(frozen=True)
class Agreement:
    """How well the players' walk agrees with their commands.

    Attributes:
        share: of the tics that count, those in which the players moved as commanded; 1.0 where hardly any count.
        num_told: tics with a command to walk.
        num_stuck: those of them in which the player could not move: dead, or pressed against something.
    """

    share: float
    num_told: int
    num_stuck: int


def in_step(demo: LmpDemo, replay: Replay) -> Agreement:
    """Compare all players' walk with their commands.

    Tics in which a player cannot move do not count. But who lies dead for more than five seconds and for more than
    three tenths of the time is no person, who would begin again: what is more than that counts as not moved, except in
    a deathmatch, where everybody dies and presses on.
    """
    tics = replay.first_tic + np.arange(len(replay.xy_TP2) - 1)
    commands_TPC = demo.commands_TPC[tics]
    forward_TP, side_TP = commands_TPC[..., 0] * _THRUST, commands_TPC[..., 1] * _THRUST
    angle_TP = replay.angle_TP[1:]  # a command turns before it walks
    thrust_TP2 = np.stack(
        [
            forward_TP * np.cos(angle_TP) + side_TP * np.sin(angle_TP),
            forward_TP * np.sin(angle_TP) - side_TP * np.cos(angle_TP),
        ],
        axis=2,
    )
    moved_TP2 = np.diff(replay.xy_TP2, axis=0)
    expected_TP2 = thrust_TP2
    expected_TP2[1:] += moved_TP2[:-1] * _FRICTION
    is_near_TP = np.hypot(*np.moveaxis(moved_TP2 - expected_TP2, 2, 0)) < _NEAR
    is_dead_TP = replay.is_dead_TP[:-1]
    is_told_TP = commands_TPC[..., :2].any(axis=2)
    is_free_TP = is_told_TP & ~is_dead_TP & (np.hypot(*np.moveaxis(moved_TP2, 2, 0)) > _STILL)
    num_told, num_dead, num_free = (int(flags.sum()) for flags in (is_told_TP, is_told_TP & is_dead_TP, is_free_TP))
    num_lost = 0 if demo.is_deathmatch else max(0, num_dead - max(_DEAD_TICS, int(_DEAD_SHARE * num_told)))
    num_counted = num_free + num_lost
    share = float(is_near_TP[is_free_TP].sum() / num_counted) if num_counted >= _MIN_TICS else 1.0
    return Agreement(share, num_told, num_told - num_free)
