"""The tasks of Doom: level, difficulty, time limit, score, and instructions in English.

All levels come with the vizdoom package (its scenarios and Freedoom's Phase 2), nothing is downloaded. Importing this
module does not load the engine, so that the command line can list tasks quickly.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from eyehand.errors import UserError
from eyehand.game import TaskInfo
from eyehand.games.doom.scores import (
    CellsVisited,
    Closeness,
    Frags,
    Progress,
    Reward,
    Score,
    SecondsSurvived,
    Treasure,
)

__all__ = ["DOOM_TASKS", "DoomTask", "doom_task"]


@dataclass(frozen=True)
class DoomTask:
    """A task in Doom.

    Attributes:
        name: as typed after `doom/`.
        wad: a file of the vizdoom package: a scenario's, or freedoom2.wad.
        instructions: the task in English, in several wordings; the first is the usual one.
        time_limit_s: an episode ends after this many seconds of game time.
        score: what the score counts, in words; scorer: its class.
        map: the level within the file.
        skill: 1 (easiest) to 5.
        engine_args: more arguments for the engine.
        num_bots: how many of the engine's own players take part; more than 0 makes it a deathmatch.
        is_free_look: whether mouse dy tilts the view.
        is_heading_random: whether the seed also decides where the player looks when the episode begins (for levels in
            which nothing else would differ from one episode to the next).
    """

    name: str
    wad: str
    instructions: tuple[str, ...]
    time_limit_s: float
    score: str
    scorer: type[Score]
    map: str = "MAP01"
    skill: int = 3
    engine_args: str = ""
    num_bots: int = 0
    is_free_look: bool = False
    is_heading_random: bool = False

    @property
    def info(self) -> TaskInfo:
        """The task's TaskInfo."""
        return TaskInfo(f"doom/{self.name}", "doom", self.name, self.instructions, self.time_limit_s, self.score)


_TASKS = (
    DoomTask(
        name="aim",
        wad="basic.wad",
        instructions=(
            "shoot the monster",
            "kill the monster with your pistol",
            "aim at the red monster and fire",
            "take the monster down with as few shots as you can",
        ),
        time_limit_s=10.0,
        score="100 for the monster, 5 less for every shot",
        scorer=Reward,
        skill=5,
    ),
    DoomTask(
        name="approach",
        wad="basic.wad",
        instructions=(
            "walk up to the monster without shooting",
            "go and touch the monster, do not fire",
            "come close to the red monster peacefully",
            "run to the monster and leave it alive",
        ),
        time_limit_s=10.0,
        score="percent of the way to the monster, 25 less for every shot",
        scorer=Closeness,
        skill=5,
    ),
    DoomTask(
        name="center",
        wad="defend_the_center.wad",
        instructions=(
            "defend the center against the monsters around you",
            "turn around and shoot every monster that comes near",
            "stay alive and kill the attackers on all sides",
        ),
        time_limit_s=60.0,
        score="monsters killed",
        scorer=Reward,
    ),
    DoomTask(
        name="line",
        wad="defend_the_line.wad",
        instructions=(
            "hold the line against the monsters in front of you",
            "shoot the demons and imps across the room",
            "defend yourself, kill the monsters at the far wall",
        ),
        time_limit_s=60.0,
        score="monsters killed",
        scorer=Reward,
    ),
    DoomTask(
        name="collect",
        wad="health_gathering.wad",
        instructions=(
            "collect medikits to stay alive",
            "pick up the health packs, the floor burns you",
            "survive on the acid floor by gathering medikits",
        ),
        time_limit_s=60.0,
        score="seconds survived",
        scorer=SecondsSurvived,
    ),
    DoomTask(
        name="poison",
        wad="health_gathering_supreme.wad",
        instructions=(
            "collect medikits in the maze and avoid the blue poison vials",
            "gather health, but do not touch the poison",
            "find medikits between the walls, keep away from the vials",
        ),
        time_limit_s=60.0,
        score="seconds survived",
        scorer=SecondsSurvived,
    ),
    DoomTask(
        name="dodge",
        wad="take_cover.wad",
        instructions=(
            "dodge the fireballs",
            "take cover, step aside before the fireballs hit you",
            "stay alive by strafing left and right",
        ),
        time_limit_s=60.0,
        score="seconds survived",
        scorer=SecondsSurvived,
        skill=4,
    ),
    DoomTask(
        name="corridor",
        wad="deadly_corridor.wad",
        instructions=(
            "fight your way down the corridor to the green armor",
            "shoot the guards and get the vest at the end of the corridor",
            "go through the deadly corridor and take the armor",
        ),
        time_limit_s=60.0,
        score="percent of the corridor, 100 with the armour",
        scorer=Progress,
    ),
    DoomTask(
        name="lead",
        wad="predict_position.wad",
        instructions=(
            "hit the moving monster with your only rocket",
            "lead the target and fire one rocket",
            "predict where the monster goes and shoot ahead of it",
        ),
        time_limit_s=10.0,
        score="1 for the hit",
        scorer=Reward,
        skill=1,
        engine_args="+sv_noautoaim 1",
    ),
    DoomTask(
        name="home",
        wad="my_way_home.wad",
        instructions=(
            "find the green armor in the maze",
            "find your way home through the rooms to the vest",
            "search the rooms until you reach the armor",
        ),
        time_limit_s=60.0,
        score="100 for the armour, less the seconds it took",
        scorer=Treasure,
        skill=5,
    ),
    DoomTask(
        name="explore",
        wad="freedoom2.wad",
        instructions=(
            "explore the level",
            "see as much of the level as you can and open the doors",
            "walk through all the rooms and corridors",
        ),
        time_limit_s=60.0,
        score="squares of 128 units visited",
        scorer=CellsVisited,
        engine_args="-nomonsters",
        is_heading_random=True,
    ),
    DoomTask(
        name="deathmatch",
        wad="cig.wad",
        instructions=(
            "win the deathmatch against the bots",
            "frag the other players and do not blow yourself up",
            "hunt down your opponents with the rocket launcher",
        ),
        time_limit_s=60.0,
        score="opponents killed, less suicides",
        scorer=Frags,
        num_bots=6,
    ),
)

DOOM_TASKS: dict[str, DoomTask] = {task.name: task for task in _TASKS}
"""Every task by the name typed after `doom/`."""


def doom_task(name: str) -> DoomTask:
    """The task of this name.

    Raises:
        UserError: there is none.
    """
    if name not in DOOM_TASKS:
        close = difflib.get_close_matches(name, DOOM_TASKS, n=3, cutoff=0.5) or list(DOOM_TASKS)
        raise UserError(f"Unknown Doom task {name!r}: did you mean {', '.join(close)}?")
    return DOOM_TASKS[name]
