"""Live and recorded pictures of the same frames, for `gap.py`: a stepped game is played and recorded, and its raw
pictures are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.evaluate.clips import PolicyClip, read_policy_clips
from eyehand.evaluate.gap import Variant
from eyehand.foreign import problem_of
from eyehand.frame import resize
from eyehand.games.families import open_game
from eyehand.model.policy_config import PolicyConfig
from eyehand.players.kinds import open_player, player_kind
from eyehand.recording.reader import Recording
from eyehand.recording.recorder import Recorder
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick
from eyehand.temporary_folder import TemporaryFolder

__all__ = ["PlayedClips", "play_and_record", "recorded_clips"]

_CLIPS_OF_EPISODE = 4
_EPISODE_S = 30.0
_MAX_EPISODES = 1000


@dataclass(frozen=True)
class PlayedClips:
    """Clips with the live pictures, and the recorded pictures of the same frames.

    Attributes:
        live: clips whose pictures are the game's own, resized once.
        recorded: pictures of the recordings' 192x192.mp4, by the clip's place in `live`.
        captured: pictures of the recordings' video.mp4, resized once.
    """

    live: tuple[PolicyClip, ...]
    recorded: tuple[NDArray[np.uint8], ...]
    captured: tuple[NDArray[np.uint8], ...]

    def variants(self) -> dict[str, Variant]:
        """The recordings' two videos, for `measure_gap`."""
        places = {id(clip): place for place, clip in enumerate(self.live)}
        return {
            "192x192.mp4": lambda clip: self.recorded[places[id(clip)]],
            "video.mp4": lambda clip: self.captured[places[id(clip)]],
        }


class _Raw:
    """An observer that keeps every raw picture at the network's size."""

    def __init__(self, size: int) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self._size = size

    def on_start(self, start: EpisodeStart) -> None:
        self.frames = []

    def on_tick(self, tick: Tick) -> None:
        self.frames.append(tick.frame.small(self._size))

    def on_end(self, end: EpisodeEnd) -> None:
        pass


def play_and_record(game_name: str, player_name: str, config: PolicyConfig, num_clips: int, seed: int) -> PlayedClips:
    """Play and record seeded episodes of at most half a minute until there are `num_clips` clips, a few of each.

    Raises:
        UserError: there is no such game or player, the game does not wait for its player, or the disk is full.
    """
    live: list[PolicyClip] = []
    recorded: list[NDArray[np.uint8]] = []
    captured: list[NDArray[np.uint8]] = []
    game = open_game(game_name, with_state=player_kind(player_name).needs_state)
    try:
        if game.is_realtime:
            raise UserError(
                f"{game_name} does not wait for its player, so no play is like another: choose a task of doom."
            )
        player, raw = open_player(player_name, game), _Raw(config.frame_size)
        with TemporaryFolder("gap") as folder:
            for episode_seed in range(seed, seed + _MAX_EPISODES):
                instruction = str(np.random.default_rng(episode_seed).choice(game.task.instructions))
                recorder = Recorder(folder, user=player_name)
                Session(game, player, [recorder, raw], instruction=instruction).run_episode(episode_seed, _EPISODE_S)
                with Recording.open(recorder.recordings[-1]) as recording:
                    for clip in read_policy_clips(
                        recording, config, _CLIPS_OF_EPISODE, seed, f"{game_name} {episode_seed}"
                    )[: num_clips - len(live)]:
                        here = slice(clip.start, clip.start + len(clip.known_T))
                        live.append(clip.with_frames(np.stack(raw.frames[here])))
                        recorded.append(clip.frames_THWC)
                        captured.append(_resized(recording.decode_captured(here.start, len(clip.known_T)), config))
                if len(live) >= num_clips:
                    break
    finally:
        game.close()
    return PlayedClips(tuple(live), tuple(recorded), tuple(captured))


def recorded_clips(paths: Sequence[Path], config: PolicyConfig, num_clips: int, seed: int) -> list[PolicyClip]:
    """At most `num_clips` clips, spread evenly over the recordings in these folders.

    Raises:
        UserError: a recording is damaged, or the policy's text encoder is not available.
    """
    few = min(num_clips, len(paths))
    chosen = [paths[round(i * (len(paths) - 1) / max(few - 1, 1))] for i in range(few)]
    clips = []
    for path in chosen:
        try:
            with Recording.open(path) as recording:
                clips += read_policy_clips(recording, config, -(-num_clips // few), seed)
        except Exception as error:
            raise problem_of(path, error) from error
    return clips[:num_clips]


def _resized(frames_THWC: NDArray[np.uint8], config: PolicyConfig) -> NDArray[np.uint8]:
    return np.stack([resize(frame_HWC, config.frame_size) for frame_HWC in frames_THWC])
