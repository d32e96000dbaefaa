"""`TrainConfig`: the options of a training run, and the checks on them.

A run's folder carries its resolved configuration (`config.json`); a resumed run must agree with it in every option that
shapes the result. Imports no torch, so that the command line can show its options quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from eyehand.errors import UserError, unreadable
from eyehand.foreign import parse_json, read_regular
from eyehand.option_rules import NotWith, OnlyWith

__all__ = ["CONFIG_FILE", "TrainConfig", "check_resumable", "read_config"]

CONFIG_FILE = "config.json"

_DEFAULT_STEPS = 20_000

_FREE_ON_RESUME = frozenset(
    {
        *("out", "steps", "minutes", "resume", "workers", "device", "cache_frames_gb", "compile"),
        *("log_every", "eval_every", "checkpoint_every", "checkpoint_minutes", "keep"),
    }
)
"""Options that may differ when a run is resumed: how long, where and how often, not what is computed in a step."""


_CHOSEN = ("batch_size", "clip_steps")
"""Options that are chosen where they are not given; a resumed run goes on with them."""


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training run.

    Attributes:
        data: folders of recordings, or indexes (.parquet) from `eyehand data index`.
        where: only recordings of the index for which this holds, such as "env = 'quake' and num_frames > 2000".
        subset: per cent of the recordings to learn from; each subset lies within the larger ones, and what is held out
            is the same for all. Default: all.
        game_weights: factors on how often games (doom) or tasks (doom/aim) are drawn: doom 2 quake 0.5. Default: 1.
        out: folder of this run: logs, the state to resume from, and playable checkpoints.
        preset: the network's sizes. Ignored with `init_from`, whose network is kept.
        init_from: a checkpoint to start from (fine-tuning).
        text_encoder: what embeds the instructions (wordllama). Default: the preset's.
        trunk: where the image trunk comes from: a checkpoint; lite0, EfficientNet-Lite0 with ImageNet weights; or
            p2p:FILE, a safetensors file of EfficientNet-B0 as torchvision or timm name it. It is kept as it is: its
            features of every picture are computed once and kept beside the recordings, and training costs a tenth.
        train_trunk: train the trunk too, from the weights of `trunk` on: on pictures, at the full cost.
        views: with `trunk`, how often the features of a picture are computed: once as it is, and augmented.
        resume: go on with the run in `out`.
        steps: optimiser steps; with `minutes`, whichever ends first. Default: 20,000 unless `minutes` is given.
        minutes: how long to train, all parts of a resumed run together.
        batch_size: clips per step. Default: 8, with `minutes` 16, on a GPU 32; fewer where memory or time is short.
        clip_steps: frames of a clip. Default: the network's history, or fewer where memory or `minutes` are short.
            Short clips show more different scenes for the same work, which teaches seeing and aiming sooner; what needs
            a longer memory must be taught with long ones.
        lr: peak learning rate, reached when 5% of the run is done, then down a cosine to a hundredth of it.
        weight_decay: of AdamW, on the weights of linear and convolution layers.
        betas: of AdamW.
        grad_clip: largest norm of the gradient.
        ema_decay: of the running mean of the weights; the mean is what is evaluated and played.
        action_corruption: chance that a step's action is replaced in the history that the network sees, by that of
            another step: against copying one's own last action.
        history_dropout: chance that a whole clip shows a history in which nothing was done.
        text_dropout: chance that a clip's instruction is left out.
        augment: strength of the picture augmentation; 0: off, 1: the reference's. Not with a kept `trunk`: see `views`.
        kl: with `init_from`, weight in the loss of the Kullback-Leibler divergence, in nats per step, from what that
            policy would do: against forgetting.
        feature_dropout: with `trunk`, the share of a picture's features that a clip does not show.
        keys_weight: of the keys in the loss; 1: the reference's, whose mean over slots that are mostly empty leaves
            little weight to a key that is pressed.
        buttons_weight: likewise, of the mouse buttons.
        edge_weight: of a key or button in the loss at the step at which it is pressed or released.
        compression: share of the clips whose pictures are compressed once more, with a random quality (CRF 6 to 18) and
            chroma (4:2:0, 4:4:4, RGB): recorded pictures are all compressed alike, live ones not at all. Costs the data
            workers more time than decoding does.
        task_balance: a task with F frames is drawn in proportion to F to this power; 1: as recorded, 0: all alike.
        held_out: share that is never trained on: whole recordings, or of few recordings the ends.
        workers: processes that decode video. Default: one per core but one, at most 14.
        cache_frames_gb: gigabytes of memory for decoded frames (a frame takes 0.11 MB), so that each is decoded once.
        device: auto takes a GPU if there is one.
        compile: run the network through torch.compile.
        seed: of everything random.
        log_every: steps between two records in the log.
        eval_every: steps between two evaluations on held-out clips; one follows each tenth of `minutes` as well.
        checkpoint_every: steps between two checkpoints.
        eval_clips: held-out clips that an evaluation looks at, kept in memory.
        checkpoint_minutes: a checkpoint is also written when the last one is older than this.
        keep: how many of the newest playable checkpoints stay, besides `policy`, which is always the newest.
    """

    data: tuple[Path, ...]
    out: Path
    preset: Annotated[str, NotWith("init_from")] = "pocket"
    where: str | None = None
    subset: Literal[6, 12, 25, 50, 100] | None = None
    game_weights: dict[str, float] | None = None
    init_from: Path | None = None
    text_encoder: str | None = None
    trunk: str | None = None
    train_trunk: Annotated[bool, OnlyWith("trunk")] = False
    views: Annotated[int, OnlyWith("trunk"), NotWith("train_trunk")] = 1
    resume: bool = False
    steps: int | None = None
    minutes: float | None = None
    batch_size: int | None = None
    clip_steps: int | None = None
    lr: float = 5e-4
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.98)
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    action_corruption: float = 0.3
    history_dropout: float = 0.1
    text_dropout: float = 0.1
    augment: Annotated[float, NotWith("trunk", unless="train_trunk")] = 1.0
    kl: Annotated[float, OnlyWith("init_from")] = 0.0
    feature_dropout: Annotated[float, OnlyWith("trunk"), NotWith("train_trunk")] = 0.05
    keys_weight: float = 1.0
    buttons_weight: float = 1.0
    edge_weight: float = 1.0
    task_balance: float = 0.5
    held_out: float = 0.05
    workers: int | None = None
    cache_frames_gb: float = 0.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    seed: int = 0
    log_every: int = 10
    eval_every: int = 500
    eval_clips: int = 64
    checkpoint_every: int = 500
    checkpoint_minutes: float = 10.0
    keep: int = 2
    compression: float = 0.0

    def __post_init__(self) -> None:
        """Reject invalid options.

        Raises:
            UserError: naming the first wrong option.
        """
        if not self.data:
            raise UserError("There is nothing to train on: give --data a folder of recordings.")
        for name, weight in (self.game_weights or {}).items():
            if not 0 < weight < float("inf"):
                raise UserError(f"Training option game_weights gives {name} {weight}: it must be above 0.")
        if self.has_features and self.compression > 0:
            raise UserError("The features of a trunk are computed once: leave out compression, or give train_trunk.")
        if self.kl and self.init_from is None:
            raise UserError("Training option kl keeps the policy near the one of init_from: give that too.")
        if self.init_from is not None and self.text_encoder is not None:
            raise UserError("The checkpoint of init_from keeps its network: leave text_encoder out, or init_from.")
        for name in ("steps", "batch_size", "clip_steps", "log_every", "eval_every", "eval_clips", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"Training option {name} is {getattr(self, name)}: it must be at least 1.")
        for name in ("minutes", "lr", "grad_clip", "checkpoint_minutes"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise UserError(f"Training option {name} is {getattr(self, name)}: it must be above 0.")
        for name in (
            *("action_corruption", "history_dropout", "text_dropout", "compression", "held_out", "ema_decay"),
            "feature_dropout",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"Training option {name} is {getattr(self, name)}: it must be between 0 and 1.")
        for name in (
            *("workers", "augment", "cache_frames_gb", "keep", "weight_decay"),
            *("keys_weight", "buttons_weight", "edge_weight", "kl"),
        ):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UserError(f"Training option {name} is {value}: it must not be negative.")

    @property
    def has_features(self) -> bool:
        """Whether it learns from features of pictures in place of pictures."""
        return self.trunk is not None and not self.train_trunk

    @property
    def max_steps(self) -> int | None:
        """Limit on optimiser steps; None: `minutes` alone ends the run."""
        if self.steps is None and self.minutes is None:
            return _DEFAULT_STEPS
        return self.steps

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, one key per field."""
        return {name: _plain(value) for name, value in asdict(self).items()}


_MOST_BYTES = 1 << 20
"""Of a run's configuration."""


def read_config(run: Path) -> dict[str, Any]:
    """The configuration that a run was started with.

    Raises:
        UserError: there is no run in this folder, or its configuration cannot be read.
    """
    path = run / CONFIG_FILE
    try:
        values = parse_json(read_regular(path, _MOST_BYTES))
    except FileNotFoundError:
        raise UserError(f"There is no run to resume in {run}: leave out --resume to start one.") from None
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or start a new run in another folder.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is damaged: restore it, or start a new run in another folder.")
    return values


def check_resumable(config: TrainConfig, started_with: Mapping[str, Any]) -> TrainConfig:
    """Check that a run may go on under this configuration; returned with the sizes that were chosen when it began.

    Raises:
        UserError: an option that shapes the result differs from what the run was started with.
    """
    sizes: dict[str, Any] = {name: started_with.get(name) for name in _CHOSEN if getattr(config, name) is None}
    config = replace(config, **sizes)
    now = config.to_json()
    for field in fields(TrainConfig):
        name = field.name
        # A run that was started before an option existed was started with its default.
        before = started_with.get(name, None if field.default is MISSING else _plain(field.default))
        if name not in _FREE_ON_RESUME and now[name] != before:
            raise UserError(
                f"The run in {config.out} was started with {name} = {before}, not {now[name]}: "
                "give the same value to resume it, or train into another --out."
            )
    return config


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
