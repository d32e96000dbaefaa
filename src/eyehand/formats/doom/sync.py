"""Is a demo played with the WADs that it was recorded with? Whether the players go where they were told to.

A demo holds commands, not places. Played with other levels it still runs, but its players soon walk into walls, or lie
dead while their keys go on being pressed. So the walk that Doom's physics makes of the commands is compared with that
which came of them. The 20 demos in Debian's and ViZDoom's Freedoom go where they are told in 90 to 98% of the tics;
with another of these WADs in 16 to 86%, but for levels of the deathmatch WAD, where nobody comes to kill a lone player.
"""

from __future__ import annotations

import numpy as np

from eyehand.formats.doom.dsda import Replay
from eyehand.formats.doom.lmp import LmpDemo

__all__ = ["IN_STEP", "in_step"]

IN_STEP = 0.88
"""Less than this is not played as it was recorded."""

_FRICTION = 0xE800 / 0x10000
_THRUST = 2048 / 65536  # map units a tic, of each unit of a command
_NEAR = 1.5  # map units; running is up to 16 a tic
_MIN_TICS = 70


def in_step(demo: LmpDemo, replay: Replay) -> float:
    """Share of the tics with a command to walk in which the players, alive, moved as commanded; 1.0 without such tics.

    In a deathmatch tics of the dead are left out: everybody dies there, and presses on.
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
    if demo.is_deathmatch:
        is_told_TP &= ~is_dead_TP
    if is_told_TP.sum() < _MIN_TICS:
        return 1.0
    return float((is_near_TP & ~is_dead_TP)[is_told_TP].mean())
