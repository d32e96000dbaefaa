"""Experts for the tasks of aiming and shooting: aim, approach, center, line, corridor, lead.

All aim alike: turn to the visible target nearest to the crosshair, track it, pull the trigger when the crosshair is
well inside it, release it until the weapon is ready again. Without a visible target they turn right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from eyehand.game import Game
from eyehand.players.demonstrators.eyes import TICS_PER_TICK, Eyes, Sighting, bearing_deg, wrap_deg
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["MONSTERS", "Aim", "Approach", "Corridor", "DefendCenter", "DefendLine", "Lead", "Marksman", "Rocketeer"]

MONSTERS = frozenset(
    (
        *("Cacodemon", "Demon", "Spectre", "DoomImp", "Zombieman", "ShotgunGuy", "ChaingunGuy", "HellKnight"),
        *("BaronOfHell", "LostSoul", "Revenant", "Fatso", "Arachnotron", "MarineChainsawVzd", "DoomPlayer"),
    )
)
"""What is shot at, by the engine's class names."""

SEARCH_DEG = 18.0
"""Angle asked of the motor model at every tick of a search: with their gain, about 160 degrees a second."""


class Marksman(Demonstrator):
    """Base of the shooting experts: aims at one monster after the other and shoots.

    Attributes:
        aim_share: shoot when the crosshair is within this share of the target's half width.
        hysteresis_deg: another target must be this much nearer to the crosshair to be preferred.
        click_ticks, ready_ticks: the trigger is released this long after it was pulled, and pulled again after that.
            A pistol whose trigger is released in between hits where it is aimed at.
    """

    aim_share = 0.7
    hysteresis_deg = 12.0
    click_ticks = 4
    ready_ticks = 10

    def __init__(self, game: Game, eyes: Eyes | None = None) -> None:
        super().__init__(game, eyes)
        self._target_id: int | None = None

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._target_id = None

    def intend(self, scene: Scene) -> Intent:
        target = self.choose(self.targets(scene))
        return self.search(scene) if target is None else self.engage(scene, target)

    def targets(self, scene: Scene) -> list[Sighting]:
        """The possible targets: the living monsters in view."""
        return [thing for thing in scene.sightings if thing.name in MONSTERS and thing.is_in_view]

    def effort_deg(self, target: Sighting) -> float:
        """The cost of a target in degrees: its angle from the crosshair, and a little for its distance."""
        return abs(target.aim_deg) + target.distance / 40.0

    def choose(self, targets: Iterable[Sighting]) -> Sighting | None:
        """The target of the lowest cost; the previous one is kept unless another is clearly better."""

        def effort(target: Sighting) -> tuple[float, int]:
            kept = self.hysteresis_deg if target.id == self._target_id else 0.0
            return self.effort_deg(target) - kept, target.id

        chosen = min(targets, key=effort, default=None)
        self._target_id = None if chosen is None else chosen.id
        return chosen

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        """Turn to the target and fire when it is under the crosshair."""
        return Intent(target.aim_deg, target.drift_deg, fire=self.may_fire(scene, target))

    def may_fire(self, scene: Scene, target: Sighting) -> bool:
        is_aimed = abs(target.aim_deg) <= self.aim_share * target.half_width_deg
        is_ready = scene.trigger_ticks < self.click_ticks or scene.trigger_ticks >= self.ready_ticks
        return is_aimed and is_ready

    def search(self, scene: Scene) -> Intent:
        """The intent without a visible target: turn right."""
        return Intent(SEARCH_DEG)


class Aim(Marksman):
    """One monster that stands still: turn, steady, shoot."""


class Approach(Marksman):
    """Walk up to the monster until it is touched, without a shot."""

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        is_ahead = abs(target.aim_deg) < 30.0
        return Intent(target.aim_deg, target.drift_deg, frozenset("w") if is_ahead else frozenset())


class DefendCenter(Marksman):
    """Monsters come from all sides: turn and shoot what is in view, the near before the far."""

    def effort_deg(self, target: Sighting) -> float:
        return abs(target.aim_deg) + target.distance / 12.0


class DefendLine(Marksman):
    """Monsters come up or throw from the far wall: shoot, those that come near first; face the line."""

    def effort_deg(self, target: Sighting) -> float:
        return abs(target.aim_deg) + target.distance / 12.0


class Corridor(Marksman):
    """Soldiers left and right of a long corridor: shoot the next ones from where they appear, then walk on."""

    engage_distance = 480.0

    def targets(self, scene: Scene) -> list[Sighting]:
        return [target for target in super().targets(scene) if target.distance < self.engage_distance]

    def search(self, scene: Scene) -> Intent:
        goal = min((thing for thing in scene.sightings if "Armor" in thing.name), key=lambda t: t.id, default=None)
        if goal is None:
            return Intent(SEARCH_DEG)
        keys = frozenset("w") if abs(goal.bearing_deg) < 30.0 else frozenset[str]()
        return Intent(goal.bearing_deg, keys=keys)


class Rocketeer(Marksman):
    """Base of the rocket shooters: aims where the target will be when the rocket arrives.

    Attributes:
        rocket_units_per_tic: speed of a rocket.
        launch_tics: from the trigger to the rocket. The aim must stay still in this time.
        steady_ticks: a target must have been tracked this long before its speed is used.
    """

    rocket_units_per_tic = 20.0
    launch_tics = 7.25
    steady_ticks = 6

    def __init__(self, game: Game, eyes: Eyes | None = None) -> None:
        super().__init__(game, eyes or Eyes(motion_ticks=8))

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        state = scene.state
        x, y = self.meeting_point(scene, target)
        bearing = bearing_deg(state, x, y)
        later = bearing_deg(state, x + target.vx * TICS_PER_TICK, y + target.vy * TICS_PER_TICK)
        is_aimed = abs(bearing) <= self.aim_share * target.half_width_deg
        is_steady = target.age_ticks >= self.steady_ticks
        return Intent(bearing, wrap_deg(later - bearing), fire=is_aimed and is_steady)

    def meeting_point(self, scene: Scene, target: Sighting) -> tuple[float, float]:
        """Where rocket and target meet if the target keeps its velocity, x and y in map units."""
        x, y = target.x, target.y
        to_launch_tics = self.launch_tics - scene.trigger_ticks * TICS_PER_TICK
        if to_launch_tics <= 0.0:
            to_launch_tics = self.launch_tics
        for _ in range(4):
            way = math.hypot(x - scene.state.x, y - scene.state.y)
            tics = to_launch_tics + way / self.rocket_units_per_tic
            x, y = target.x + target.vx * tics, target.y + target.vy * tics
        return x, y


class Lead(Rocketeer):
    """One rocket for a monster that runs to and fro between the walls.

    Attributes:
        aim_share: much smaller than for targets that stand still: the one rocket must hit.
        turning_y: no rocket at a point that lies farther north or south: the monster turns before it.
        least_speed: no rocket at a monster that has not kept north or south (6.7 units per tic) while it was tracked.
    """

    aim_share = 0.4
    steady_ticks = 13
    turning_y = 560.0
    least_speed = 5.5

    def __init__(self, game: Game) -> None:
        super().__init__(game, Eyes(motion_ticks=12))

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        intent = super().engage(scene, target)
        is_between_walls = abs(self.meeting_point(scene, target)[1]) < self.turning_y
        is_straight = abs(target.vy) > self.least_speed and abs(target.vx) < 1.0
        return Intent(intent.turn_deg, intent.drift_deg, fire=intent.fire and is_between_walls and is_straight)
