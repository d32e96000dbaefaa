"""The expert for whole levels: walks the route to the exit, fights what it sees, picks up what it needs.

In this order: what it sees decides. A monster in the picture is faced and shot from where the player stands; fireballs
that would hit are stepped away from. Without a monster it fetches health, weapons and ammunition that it sees and
needs, and else walks on along the level's route: to keys, switches and the exit.
"""

from __future__ import annotations

import math

from eyehand.games.doom.floor_plan import DistanceField
from eyehand.games.doom.level_route import LevelRoute
from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.combat import MONSTERS, SEARCH_DEG, Marksman
from eyehand.players.demonstrators.dodge import MISSILES
from eyehand.players.demonstrators.eyes import Sighting
from eyehand.players.demonstrators.navigator import Gait, Navigator, Steering
from eyehand.players.demonstrators.scripted import Intent, Scene

__all__ = ["LevelDemonstrator"]

_HEALTH = {"Stimpack": 90.0, "Medikit": 75.0}
"""What heals, and below which health it is fetched."""
_AMMUNITION = {"Shell": (3, 16.0), "ShellBox": (3, 16.0), "Clip": (2, 30.0), "ClipBox": (2, 30.0)}
"""The slot of the weapon that it is for, and below how many rounds it is fetched."""
_WEAPONS = {"Shotgun": 3, "Chaingun": 4}
_RAPID = frozenset((3, 4))
"""Slots of weapons whose trigger is held: the shotgun and the chaingun."""


class LevelDemonstrator(Marksman):
    """The expert that plays a level to its exit.

    Attributes:
        sight: monsters farther than this are left alone.
        near: a monster is backed away from at less than this: it hits less from afar.
        wide_deg: at a target of more than this half width the trigger is held; else every shot is aimed.
        patience_ticks: a monster that has left the picture this short a time ago is waited for.
        fetch_distance, fetch_way: what is needed is fetched from nearer than this, by a way of less cost than that.
        flank_deg: only what lies within this angle of the view is fetched.
    """

    sight = 900.0
    near = 300.0
    wide_deg = 3.0
    patience_ticks = 14
    fetch_distance = 500.0
    fetch_way = 700.0
    flank_deg = 70.0

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._navigator: Navigator | None = None
        self._leg = 0
        self._wanted_id: int | None = None

    def targets(self, scene: Scene) -> list[Sighting]:
        return [target for target in super().targets(scene) if target.distance < self.sight]

    def intend(self, scene: Scene) -> Intent:
        self._leg = self._next_leg(scene)
        return Intent() if scene.state.is_dead else super().intend(scene)

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        keys = self._sidestep(scene)
        if not keys and target.distance < self.near:
            keys = self._retreat(scene.state)
        fire = self.may_fire(scene, target)
        return Intent(target.aim_deg, target.drift_deg, keys, fire)

    def may_fire(self, scene: Scene, target: Sighting) -> bool:
        if scene.state.weapon in _RAPID or target.half_width_deg > self.wide_deg:
            return abs(target.aim_deg) <= target.half_width_deg
        return super().may_fire(scene, target)

    def search(self, scene: Scene) -> Intent:
        if hidden := self._hidden(scene):
            return Intent(hidden.bearing_deg, keys=self._sidestep(scene))
        navigator = self._walker(scene)
        if wanted := self._wanted(scene):
            steering = navigator.descend(scene.state, scene.executed, wanted)
        else:
            steering = self._walk_on(scene, navigator)
        turn_deg = max(-SEARCH_DEG, min(SEARCH_DEG, steering.turn_deg))
        return Intent(turn_deg, keys=steering.keys | self._sidestep(scene))

    def _hidden(self, scene: Scene) -> Sighting | None:
        """The monster that has just gone out of sight in front of the player, who waits a moment for it."""
        hidden = [
            thing
            for thing in scene.sightings
            if thing.name in MONSTERS
            and 0 < thing.unseen_ticks <= self.patience_ticks
            and abs(thing.bearing_deg) < 30.0
        ]
        return min(hidden, key=lambda thing: (thing.distance, thing.id), default=None)

    # ---- the way ----------------------------------------------------------------------------------------------

    def _next_leg(self, scene: Scene) -> int:
        """The leg that the player is on: one that ends at a switch ends with a push."""
        leg, state, route = self._leg, scene.state, _route(scene.state)
        if route.legs[leg].is_pushed and "Space" not in scene.executed.keys:
            return leg
        return route.after(leg, state.x, state.y)

    def _walker(self, scene: Scene) -> Navigator:
        if self._navigator is None:
            self._navigator = Navigator(Gait(run_distance=math.inf, look_ahead=200.0), _route(scene.state).plan)
        return self._navigator

    def _walk_on(self, scene: Scene, navigator: Navigator) -> Steering:
        state = scene.state
        leg = _route(state).legs[self._leg]
        if leg.is_pushed and leg.is_reached(state.x, state.y):
            return navigator.push(state, scene.executed, leg.x, leg.y)
        return navigator.descend(state, scene.executed, leg.field)

    # ---- what it needs ----------------------------------------------------------------------------------------

    def _wanted(self, scene: Scene) -> DistanceField | None:
        """The ways to the nearest thing that the player sees and needs; once chosen it is kept in mind for a while."""
        state = scene.state
        things = [thing for thing in scene.sightings if self._needs(state, thing.name)]
        for thing in sorted(things, key=lambda thing: (thing.id != self._wanted_id, thing.distance, thing.id)):
            is_ahead = thing.distance < self.fetch_distance and abs(thing.bearing_deg) < self.flank_deg
            if is_ahead or thing.id == self._wanted_id:
                field = self._field(thing, state)
                if field is not None and field.cost(state.x, state.y) < self.fetch_way:
                    self._wanted_id = thing.id
                    return field
        self._wanted_id = None
        return None

    def _field(self, thing: Sighting, state: DoomState) -> DistanceField | None:
        """The ways to a thing through doors that are open; None: nobody can stand where it can be taken."""
        route = _route(state)
        cell = route.plan.nearest_free(thing.x, thing.y, 32.0)
        return None if cell is None else route.plan.field(cell, 900.0, route.legs[self._leg].closed_sectors)

    def _needs(self, state: DoomState, name: str) -> bool:
        if name in _WEAPONS:
            return state.weapon < _WEAPONS[name]
        if name in _AMMUNITION:
            slot, least = _AMMUNITION[name]
            return state.weapon <= slot and state.ammo < least
        return state.health < _HEALTH.get(name, 0.0)

    # ---- out of the way ---------------------------------------------------------------------------------------

    def _sidestep(self, scene: Scene) -> frozenset[str]:
        """The key that takes the player out of the way of a missile in view that would hit; none without one."""
        state = scene.state
        for missile in scene.sightings:
            if missile.name not in MISSILES or not missile.is_in_view:
                continue
            dx, dy = state.x - missile.x, state.y - missile.y
            speed = math.hypot(missile.vx, missile.vy)
            if speed < 1.0:
                continue
            along, across = (dx * missile.vx + dy * missile.vy) / speed, (dy * missile.vx - dx * missile.vy) / speed
            if not 0.0 < along < 30.0 * speed or abs(across) > 48.0:
                continue
            # Positive across: the player stands to the left of the missile's way, to its own right if it faces it.
            first, other = ("d", "a") if across > 0.0 else ("a", "d")
            for key, side_deg in ((first, 90.0 if first == "d" else -90.0), (other, 90.0 if other == "d" else -90.0)):
                if self._has_room(state, side_deg):
                    return frozenset(key)
        return frozenset()

    def _retreat(self, state: DoomState) -> frozenset[str]:
        """The keys that lead away from what is ahead: back, or back and aside, or aside; none in a corner."""
        ways = ((180.0, "s"), (135.0, "sd"), (-135.0, "sa"), (90.0, "d"), (-90.0, "a"))
        return next((frozenset(keys) for side_deg, keys in ways if self._has_room(state, side_deg)), frozenset())

    def _has_room(self, state: DoomState, side_deg: float, room: float = 40.0) -> bool:
        """Whether one can walk a little in the direction `side_deg` to the right of the view."""
        angle = math.radians(state.angle_deg - side_deg)
        x, y = state.x + room * math.cos(angle), state.y + room * math.sin(angle)
        return _route(state).plan.is_walk_clear(state.x, state.y, x, y)


def _route(state: DoomState) -> LevelRoute:
    if state.route is None:
        raise RuntimeError("this level has no route to its exit")
    return state.route
