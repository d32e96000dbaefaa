"""`train`: behaviour cloning of recordings, one process and one device, from top to bottom.

    recordings -> clips (data) -> Prefetcher (corrupt, send, augment) -> Policy -> loss -> AdamW -> running mean
                                                                                     '-> log, evaluation, checkpoints

A run lives in one folder: `config.json`, `log.jsonl`, `training_state.pt` to resume from, `checkpoints/step-N` and
`policy`, which suffice to play. Killed at any moment, a resumed run goes on from the last state with the losses that
it would have had (bit-identical on a CPU). Knows nothing about games.
"""

from __future__ import annotations

import copy
import json
import math
import shlex
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyehand.checkpoint import save_checkpoint
from eyehand.data.dataset import Dataset, load_dataset
from eyehand.data.loader import ClipLoader
from eyehand.data.sampler import ClipSampler, weigh_tasks
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.games.families import task_info
from eyehand.jobs.local import LocalEngine
from eyehand.machine import num_cores
from eyehand.model.policy import Policy
from eyehand.model.text import text_encoder
from eyehand.progress import shown_progress
from eyehand.recording.recompress import RandomRecompression
from eyehand.recording.title import game_of
from eyehand.replaced import replaced
from eyehand.terminal import clock_time, counted
from eyehand.train.device import has_bfloat16, limit_queue, pin, tune
from eyehand.train.features import make_features
from eyehand.train.log import RunLog, read_log
from eyehand.train.losses import behaviour_cloning_loss, divergence
from eyehand.train.meter import Meter, Pace
from eyehand.train.optimizer import WeightMean, adamw, learning_rate
from eyehand.train.prefetcher import DeviceBatch, Prefetcher
from eyehand.train.report import REPORT_FILE, RunReport, lead_of
from eyehand.train.run import Run
from eyehand.train.sizes import Sizes, Trial, choose_sizes, try_step
from eyehand.train.state import TrainingState, save_state
from eyehand.train.train_config import CONFIG_FILE, TrainConfig
from eyehand.train.validation import HeldOut, Scores, begin_at_frequencies, copy_last_scores, marginal_scores
from eyehand.train.verdict import hopeless, judge

__all__ = ["TrainResult", "train"]


_JUDGED_STEPS, _JUDGED_SHARE = 10, 0.1
"""After so many steps, or this share of the run, its pace is judged."""

_NUM_LOOKS = 10
"""At held-out clips during a run that the clock ends, at most."""

_LOOK_PAUSE = 9
"""Between two of them as many times as long as the last one took: a tenth of the time goes into them."""


@dataclass(frozen=True)
class TrainResult:
    """The result of `train`.

    Attributes:
        step: optimiser steps done.
        policy: the newest playable checkpoint.
        ended_by: the signal that ended it early, so that it can be resumed; None: it is finished.
        held_out: scores on the held-out recordings at the end; None without such recordings.
    """

    step: int
    policy: Path
    ended_by: signal.Signals | None
    held_out: Scores | None

    @property
    def is_finished(self) -> bool:
        return self.ended_by is None


def train(config: TrainConfig) -> TrainResult:
    """Train a policy by behaviour cloning, or resume a run.

    Ctrl-C, SIGTERM or the end of the terminal end the run after the current step, with everything saved.

    Raises:
        UserError: unusable data, options, or disk.
    """
    with alone_in(config.out, "train"):
        return _train(config)


def _train(config: TrainConfig) -> TrainResult:
    run = Run.open(config)
    config = run.config
    selection = Selection(config.where, config.subset, config.held_out)
    dataset = load_dataset(config.data, run.policy_config.space, run.workers, selection)
    if run.trunk is not None and config.has_features:
        with shown_progress() as progress:
            engine = LocalEngine(num_cores() if config.workers is None else config.workers)
            dataset = make_features(dataset, run.trunk, engine, views=config.views, progress=progress)
    train_part, held_out_part = dataset.split()
    policy = _initial_policy(config, run, train_part)
    autocast = torch.autocast(run.device.type, torch.bfloat16, enabled=has_bfloat16(run.device))
    trial = try_step(policy, train_part, run.device, autocast, config.augment)
    sizes = choose_sizes(config, trial, run.policy_config.history_steps, run.device.type == "cuda")
    config = replace(config, batch_size=config.batch_size or sizes.batch_size)
    config = replace(config, clip_steps=config.clip_steps or sizes.clip_steps)
    tasks = [episode.task for episode in train_part.episodes]
    sampler = ClipSampler(
        [episode.num_steps for episode in train_part.episodes],
        tasks,
        sizes.clip_steps,
        seed=config.seed,
        task_balance=config.task_balance,
        weights=weigh_tasks(config.game_weights or {}, tasks),
    )
    # Always with the whole history, as it will be played, so that runs can be compared.
    held_out = HeldOut(held_out_part, run.policy_config.history_steps, sizes.batch_size, config.eval_clips)
    # The workers are forked before TensorBoard and the optimiser start threads of their own.
    loader = ClipLoader(
        train_part,
        batch_size=sizes.batch_size,
        clip_steps=sizes.clip_steps,
        workers=run.workers,
        cache_frames_gb=config.cache_frames_gb,
        recompression=RandomRecompression(config.compression, config.seed) if config.compression > 0 else None,
    )
    with loader, _signals() as received:
        trainer = _Trainer(config, run, dataset, policy, autocast, sizes)
        with RunLog(config.out, trainer.step) as log:
            for line in _beginning(trainer, train_part, held_out_part, trial):
                log.say(line)
            log.say(f"how it goes: {config.out / REPORT_FILE}")
            if log.has_board:
                log.say(f"or: tensorboard --logdir {shlex.quote(str(config.out))}")
            if trainer.step == 0 and held_out.keys:
                _log_baselines(log, train_part, held_out)
            if run.device.type == "cuda":
                pin(loader.slots_SBTX)
            batches = loader.batches(sampler.batches(sizes.batch_size, trainer.step), trainer.step)
            prefetcher = Prefetcher(batches, trainer.text_table_MND, run.policy_config.space, config, run.device)
            heads, lead = trainer.policy.space.heads, lead_of(dataset, trainer.policy.num_parameters)
            report = RunReport(config.out, lead, heads, held_out, _play_command(dataset, config.out))
            return trainer.fit(prefetcher, held_out, log, report, received)


class _Trainer:
    """Network, optimiser and running mean of one run, and the loop over its steps."""

    def __init__(
        self, config: TrainConfig, run: Run, dataset: Dataset, policy: Policy, autocast: torch.autocast, sizes: Sizes
    ) -> None:
        self.config = config
        self.run = run
        self.dataset = dataset
        self.policy = policy
        self.autocast = autocast
        self.sizes = sizes
        device = run.device
        self.before = copy.deepcopy(self.policy).eval().requires_grad_(False) if config.kl else None
        self.mean = WeightMean(self.policy, config.ema_decay)
        self.optimizer = adamw(self.policy, lr=config.lr, weight_decay=config.weight_decay, betas=config.betas)
        has_batch_norm = any(isinstance(module, torch.nn.BatchNorm2d) for module in policy.modules())
        self.is_shape_fixed = config.compile and not has_batch_norm
        self.forward: Any = torch.compile(self.policy) if config.compile else self.policy
        encoder = text_encoder(run.policy_config.text_encoder)
        embedded = np.stack([encoder.embed(text) for text in dataset.instructions])
        self.text_table_MND = torch.from_numpy(embedded).to(device)
        self.meter = Meter(len(self.policy.space.heads), device)
        self.head_weights = {"keys": config.keys_weight, "buttons": config.buttons_weight}
        self.step = 0
        self._elapsed_before_s = 0.0
        self._started = time.monotonic()
        if run.state is not None:
            self._restore(run.state)
        else:
            config.out.mkdir(parents=True, exist_ok=True)
            with replaced(config.out / CONFIG_FILE) as partial:
                partial.write_text(json.dumps(config.to_json(), indent=2) + "\n")

    @property
    def elapsed_s(self) -> float:
        return self._elapsed_before_s + time.monotonic() - self._started

    @property
    def share_done(self) -> float:
        """Share of the run that is done, by steps or by time, whichever is larger."""
        return self._share_at(self.step)

    def _share_at(self, step: int) -> float:
        config = self.config
        by_steps = 0.0 if config.max_steps is None else step / config.max_steps
        by_clock = 0.0 if config.minutes is None else self.elapsed_s / (60 * config.minutes)
        return min(1.0, max(by_steps, by_clock))

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, where the clock ends the run; None: the pace tells."""
        config = self.config
        return None if config.minutes is None or config.steps is not None else 60 * config.minutes - self.elapsed_s

    def fit(
        self,
        prefetcher: Prefetcher,
        held_out: HeldOut,
        log: RunLog,
        report: RunReport,
        received: Sequence[signal.Signals],
    ) -> TrainResult:
        """Train until the run is over or a signal has been received."""
        config = self.config
        scores: Scores | None = None
        saved_at_step, saved_at_s = self._exported_step(), time.monotonic()
        pace = Pace(prefetcher)
        previous: torch.cuda.Event | None = None
        is_last = self.share_done >= 1
        is_judged = self.step > 0
        next_look = self._next_look()
        log.show(self.step, self.share_done, self.left_s)
        report.write(self.step, self.share_done, self.left_s)
        while not is_last and not received:
            batch = next(prefetcher)
            try:
                grad_norm = self._learn(batch)
            except torch.OutOfMemoryError as error:
                raise UserError("The GPU's memory is too small for this: give a smaller --batch-size.") from error
            self.step += 1
            pace.count(batch.num_frames)
            previous = limit_queue(self.run.device, previous)
            prefetcher.prefetch()
            is_last = self.share_done >= 1
            if self.step % config.log_every == 0 or is_last:
                self._log(log, grad_norm, pace)
            else:
                log.show(self.step, self.share_done, self.left_s)
            if not is_judged and (self.step >= _JUDGED_STEPS or self.share_done > _JUDGED_SHARE):
                is_judged = True
                self._warn(log)
            is_due = self.step % config.eval_every == 0 or self.share_done >= next_look or is_last
            is_looked_at = bool(held_out.keys) and is_due
            if is_looked_at:
                share = self.share_done
                scores = self._evaluate(log, held_out)
                next_look = max(self._next_look(), self.share_done + _LOOK_PAUSE * (self.share_done - share))
                pace.restart()
            if is_looked_at or self.step % config.log_every == 0:
                report.write(self.step, self.share_done, self._expected_left_s, is_new=is_looked_at)
            is_old = time.monotonic() - saved_at_s > 60 * config.checkpoint_minutes
            if self.step % config.checkpoint_every == 0 or is_old:
                self._save(scores)
                saved_at_step, saved_at_s = self.step, time.monotonic()
                pace.restart()
        if saved_at_step != self.step:
            self._save(scores)
        report.write(self.step, self.share_done, None, is_over=True)
        log.say(
            f"{'Done' if is_last else 'Stopped; --resume goes on'}: {counted(self.step, 'step')} in "
            f"{clock_time(self.elapsed_s)}; the policy is in {config.out / 'policy'}"
        )
        log.say(judge(read_log(config.out)).text)
        log.say(f"watch it play: {_play_command(self.dataset, config.out)}")
        return TrainResult(self.step, config.out / "policy", None if is_last else received[0], scores)

    def _next_look(self) -> float:
        """The share of the run at which held-out clips are looked at next, where the clock ends it."""
        if self.config.minutes is None or self.config.steps is not None:
            return math.inf
        return (math.floor(_NUM_LOOKS * self.share_done) + 1) / _NUM_LOOKS

    @property
    def _expected_left_s(self) -> float:
        """Seconds until the end, by the clock or by the mean pace so far."""
        left_s, share = self.left_s, max(self.share_done, 1e-9)
        return self.elapsed_s * (1 - share) / share if left_s is None else left_s

    def _warn(self, log: RunLog) -> None:
        """Say so if the pace is hopeless."""
        is_short = self.config.steps is None  # who asks for a number of steps has decided about it
        num_steps = self.step / max(self.share_done, 1e-9) if is_short else math.inf
        ways = ["--trunk pocket-doom, which looks at every picture only once"] if self.config.trunk is None else []
        ways += ["--clip-steps 16, for shorter steps"] if self.sizes.clip_steps > 16 else []
        problem = hopeless(num_steps, self._expected_left_s, ways)
        if problem is not None:
            log.say(problem)

    def _learn(self, batch: DeviceBatch) -> Tensor:
        """One optimiser step; returns the norm of the gradient, a scalar tensor."""
        config = self.config
        # Dropout draws from here: a step's randomness depends on (seed, step) alone, so a resumed run has the same.
        torch.manual_seed(config.seed * 1_000_003 + self.step)
        lr = learning_rate(config.lr, self._share_at(self.step + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.policy.train()
        with self.autocast:
            # A compiled network wants the same shapes at every step: it looks at padding too.
            valid_BT = None if self.is_shape_fixed else batch.valid_BT
            inputs = (batch.frames, batch.text_BTND, batch.executed_BTA, batch.target_BTA, valid_BT)
            logits = self.forward(*inputs)
        losses = behaviour_cloning_loss(
            *(logits, batch.target_BTA, batch.learn_BT, self.policy.space.heads, self.head_weights),
            edge_weight=config.edge_weight,
        )
        total = losses.total
        if self.before is not None:
            with torch.no_grad(), self.autocast:
                before = self.before(*inputs)
            total = total + config.kl * divergence(logits, before, batch.valid_BT)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        grad_norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.grad_clip)
        self.optimizer.step()
        self.mean.update(self.step + 1)
        self.meter.add(total.detach(), losses.cross_entropy_H)
        return grad_norm

    def _log(self, log: RunLog, grad_norm: Tensor, pace: Pace) -> None:
        """Log the means since the last record.

        Raises:
            UserError: the loss is NaN or infinite.
        """
        loss, entropies = self.meter.take()
        if not math.isfinite(loss):
            raise UserError(f"Training diverged at step {self.step}: resume with a smaller --lr from a new --out.")
        scores = Scores.of(entropies, self.policy.space.heads)
        values = {
            "loss": loss,
            "cross_entropy": scores.cross_entropy,
            "perplexity": scores.perplexity,
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": float(grad_norm),
            "frames_per_s": round(pace.frames_per_s, 1),
            "data_wait_share": round(pace.wait_share, 4),
            "elapsed_s": round(self.elapsed_s, 2),
        }
        log.write("train", self.step, values)
        rate = f"{pace.frames_per_s:,.0f} frames/s, {pace.wait_share:.0%} waiting for data"
        log.show(self.step, self.share_done, self.left_s, f"loss {loss:.4f}  {rate}")
        pace.restart()

    def _evaluate(self, log: RunLog, held_out: HeldOut) -> Scores:
        mean = self.mean.module
        assert isinstance(mean, Policy)
        scores = held_out.evaluate(mean, self.text_table_MND, self.autocast, log.progress)
        values = {"loss": scores.loss, "cross_entropy": scores.cross_entropy, "perplexity": scores.perplexity}
        log.write("eval", self.step, values)
        perplexities = "  ".join(f"{name} {value:.3f}" for name, value in scores.perplexity.items())
        log.say(f"step {self.step}  held out: loss {scores.loss:.4f}, perplexity {perplexities}")
        return scores

    def _save(self, scores: Scores | None) -> None:
        """Save the playable checkpoint, then the state to resume from: killed in between, the steps are done again."""
        self._export(scores)
        state = TrainingState(
            step=self.step,
            elapsed_s=self.elapsed_s,
            model=self.policy.state_dict(),
            ema=self.mean.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            meter=self.meter.state_dict(),
        )
        save_state(self.config.out, state)

    def _exported_step(self) -> int | None:
        """The step of the playable policy: a kill may have come between the state and the policy of a step."""
        with suppress(OSError, ValueError, LookupError, TypeError):
            step: int = json.loads((self.config.out / "policy" / "checkpoint.json").read_text())["facts"]["step"]
            return step
        return None

    def _export(self, scores: Scores | None) -> None:
        config = self.config
        mean = self.mean.module
        assert isinstance(mean, Policy)
        facts: dict[str, Any] = {
            "step": self.step,
            "frames_seen": self.step * self.sizes.batch_size * self.sizes.clip_steps,
            "elapsed_s": round(self.elapsed_s, 1),
            "recordings": len(self.dataset.episodes),
            "games": dict(Counter(episode.task.split("/")[0] for episode in self.dataset.episodes)),
            "frames": self.dataset.num_steps,
            "held_out": None if scores is None else {"loss": scores.loss, "perplexity": scores.perplexity},
            "config": config.to_json(),
        }
        folder = config.out / "checkpoints"
        folder.mkdir(exist_ok=True)
        if config.keep:
            save_checkpoint(folder / f"step-{self.step:08d}", mean, facts, **self.run.playing)
        save_checkpoint(config.out / "policy", mean, facts, **self.run.playing)
        for old in sorted(folder.glob("step-*"))[: -config.keep or None]:
            shutil.rmtree(old, ignore_errors=True)

    def _restore(self, state: TrainingState) -> None:
        """Load a saved state.

        Raises:
            UserError: it belongs to another network.
        """
        try:
            self.policy.load_state_dict(state.model)
            self.mean.module.load_state_dict(state.ema)
            self.optimizer.load_state_dict(state.optimizer)
            self.meter.load_state_dict(state.meter)
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(
                f"The state in {self.config.out} belongs to another network or version: start a new run."
            ) from error
        self.step = state.step
        self._elapsed_before_s = state.elapsed_s


def _initial_policy(config: TrainConfig, run: Run, train_part: Dataset) -> Policy:
    """The network that a run begins with, on the device; a resumed one's weights come from its state."""
    torch.manual_seed(config.seed)
    tune(run.device)
    policy = Policy(run.policy_config) if run.initial is None else run.initial
    if run.trunk is not None:
        policy.image_encoder.trunk.load_state_dict(run.trunk.module.state_dict())
    if run.initial is None and run.state is None and policy.space.is_independent:
        begin_at_frequencies(policy, train_part)
    policy.to(run.device, memory_format=torch.channels_last).requires_grad_(True)  # type: ignore[call-overload]
    if config.has_features:
        policy.image_encoder.trunk.requires_grad_(False)
    return policy


def _beginning(trainer: _Trainer, train_part: Dataset, held_out_part: Dataset, trial: Trial) -> Iterator[str]:
    """Lines on what is learnt from, by what, how long it takes, and where to watch it."""
    config, sizes = trainer.config, trainer.sizes
    held = (
        f"{counted(held_out_part.num_steps, 'frame')} of {counted(len(held_out_part.episodes), 'recording')} held out"
    )
    yield (
        f"{counted(len(train_part.episodes), 'recording')} to learn from "
        f"({counted(train_part.num_steps, 'frame')}), {held}"
    )
    yield (
        f"{trainer.policy.num_parameters / 1e6:.1f}M parameters on {trainer.run.device}, about "
        f"{trial.frames_per_s:,.0f} frames/s; {counted(trainer.run.workers, 'data worker')}; a step is "
        f"{counted(sizes.batch_size, 'clip')} of {counted(sizes.clip_steps, 'frame')}"
    )
    seconds = trainer.left_s
    if seconds is None:
        assert config.max_steps is not None
        frames = (config.max_steps - trainer.step) * sizes.batch_size * sizes.clip_steps
        seconds = frames / trial.frames_per_s
        if config.minutes is not None:
            seconds = min(seconds, 60 * config.minutes - trainer.elapsed_s)
    about = "" if trainer.left_s is not None else "about "
    yield f"it will take {about}{clock_time(max(0.0, seconds))}"


def _play_command(dataset: Dataset, out: Path) -> str:
    """The command by which the agent plays the game of most of the data."""
    steps: Counter[str] = Counter()
    for episode in dataset.episodes:
        steps[episode.task] += episode.num_steps
    env, _, subtype = steps.most_common(1)[0][0].partition("/")
    game = game_of(env, subtype)
    try:
        task_info(game)
    except UserError:
        game = "GAME"
    return f"eyehand play {shlex.quote(game)} --checkpoint {shlex.quote(str(out))}"


def _log_baselines(log: RunLog, train_part: Dataset, held_out: HeldOut) -> None:
    rows = held_out.rows()
    baselines = {
        "marginal": marginal_scores(train_part, held_out.covered, rows),
        "copy_last": copy_last_scores(train_part, held_out.covered, rows),
    }
    values = {name: {"loss": scores.loss, "perplexity": scores.perplexity} for name, scores in baselines.items()}
    log.write("baselines", 0, values)
    for name, scores in baselines.items():
        log.say(f"baseline {name}: held-out loss {scores.loss:.4f}")


@contextmanager
def _signals() -> Iterator[Sequence[signal.Signals]]:
    """The signals that were received and ask for an end: Ctrl-C, SIGTERM, the end of the terminal. The first of a kind
    ends nothing by itself, the second acts as usual, and one that is ignored (`nohup`) stays ignored."""
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def receive(number: int, frame: object) -> None:
        received.append(signal.Signals(number))
        signal.signal(number, before[signal.Signals(number)])

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
