"""Options of recording, as the command line and the library have them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from eyehand.option_rules import OnlyWith
from eyehand.players.hotkeys import Hotkeys

__all__ = ["CollectOptions", "EpisodeOptions", "PersonOptions", "RecordOptions", "RecordPersonOptions"]

_HOTKEYS = ("record", "pause", "keep", "instruction", "discard", "success", "failure")


@dataclass(frozen=True, kw_only=True)
class PersonOptions:
    """A person at a desktop game.

    Attributes:
        instruction: what you are going to do, in words. Default: the profile's usual instruction. A line typed at the
            terminal while you play is another one.
        note: a few words about what you record now; they stand in the titles of the recordings.
        own_screen: size of a screen of its own for the game, for example 640x480, shown in a window: keyboard and mouse
            reach the game while that window has the focus.
        lines: height of the captured video at most. The network's picture is always made of the whole screen.
        wait: do not record yet: hold the last seconds, until a hotkey starts recording or keeps them.
        keep_seconds: how many seconds are held.
        key_record: the hotkey that starts and stops recording.
        key_pause: the hotkey that pauses: nothing is recorded or held.
        key_keep: the hotkey that keeps the last seconds.
        key_instruction: the hotkey that goes to the next instruction: yours and those of the profile.
        key_discard: the hotkey that throws away what is being recorded, or else the last recording; it lies in the
            folder .removed until you delete it.
        key_success: the hotkey that ends the recording as a success; the next one begins.
        key_failure: the hotkey that ends the recording as a failure; the next one begins.
    """

    instruction: str | None = None
    note: str = ""
    own_screen: str | None = None
    lines: int = 480
    wait: bool = False
    keep_seconds: float = 30.0
    key_record: str = "RightAlt+Home"
    key_pause: str = "RightAlt+End"
    key_keep: str = "RightAlt+Insert"
    key_instruction: str = "RightAlt+PageUp"
    key_discard: str = "RightAlt+Delete"
    key_success: str = "RightAlt+PageDown"
    key_failure: str = "RightAlt+Backspace"

    def hotkeys(self) -> Hotkeys:
        """The detector of these keys. Errors as of `Hotkeys`."""
        return Hotkeys({name: getattr(self, f"key_{name}") for name in _HOTKEYS})


@dataclass(frozen=True, kw_only=True)
class RecordPersonOptions(PersonOptions):
    """All that `record_person` is told.

    Attributes:
        out: folder of recordings.
        seconds: of recorded play, after which it ends; None: it does not.
        user: who plays, for the recording.
        hears_injected: see `Listener`.
        shortest_s: what is shorter is no recording.
    """

    out: Path
    seconds: float | None = None
    user: str = "human"
    hears_injected: bool = False
    shortest_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions:
    """A player at stepped games.

    Attributes:
        player: who plays: demonstrator, random, or the name or folder of a checkpoint.
        dagger: the player is the learner of DAgger: the demonstrator, its expert, labels every tick and also acts.
        learner_share: with --dagger, the share of the time in which the learner acts.
        noise_injection: share of the demonstrator's episodes in which other actions than its own are done now and then.
        episodes: instead of --minutes, a number of episodes for each game.
        seed: of the first episode of every game.
        workers: processes; one core each.
        instructed: share of the episodes that carry one of the task's instructions.
    """

    player: str = "demonstrator"
    dagger: bool = False
    learner_share: Annotated[float, OnlyWith("dagger")] = 0.7
    noise_injection: float = 0.6
    episodes: int | None = None
    seed: int = 1_000_000
    workers: int = 1
    instructed: float = 1.0


@dataclass(frozen=True, kw_only=True)
class CollectOptions(EpisodeOptions):
    """All that `collect` is told.

    Attributes:
        games: names as `games.families.game_names` gives them.
        out: folder that gets one folder per episode.
        minutes: game time to record per game.
        tries: episodes from every start, with other draws of the player; `episodes` counts them all.
        learns_itself: what a policy does is recorded as what it should have done: for self-imitation.
    """

    games: tuple[str, ...]
    out: Path
    minutes: float = 10.0
    tries: int = 1
    learns_itself: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Options of `eyehand record`.

    A desktop game (a profile, or --window) is played by you, and keyboard and mouse are recorded. Other games are
    played by --player.

    Attributes:
        out: folder that gets one folder per episode, or per stretch of play without a pause.
        game: what to play: a profile's name (chocolate-doom) or file; or for a player a family (doom), one game
            (doom/aim), or several with commas between.
        window: instead of a game: a window that is there, by a part of its title, class=CLASS, pid=PID, id=NUMBER, or ?
            for the one that you then click into.
        minutes: game time to record for each game. Default: 10 for a player, until Ctrl-C for a person.
        person: when you play a desktop game.
        episodes: when a player plays other games.
    """

    out: Path
    game: str | None = None
    window: str | None = None
    minutes: float | None = None
    person: PersonOptions = field(default_factory=PersonOptions)
    episodes: EpisodeOptions = field(default_factory=EpisodeOptions)
