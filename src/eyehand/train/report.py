"""The page of a training run, RUN/report.html: is it learning? Written anew while it runs.

The verdict, the losses beside the baselines, the pace, and for a few held-out clips what the policy would have done
beside what the person did.
"""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyehand.action import Action
from eyehand.action_space import Head
from eyehand.data.dataset import Dataset
from eyehand.errors import UserError
from eyehand.pages import page, plots
from eyehand.replaced import replaced
from eyehand.terminal import clock_time, counted
from eyehand.train.log import read_log
from eyehand.train.validation import HeldOut, Scores
from eyehand.train.verdict import judge

__all__ = ["REPORT_FILE", "RunReport", "lead_of"]

REPORT_FILE = "report.html"

_LEAST_S = 5.0
"""Between two writings, but for those that tell something new about the held-out clips."""

_SHOWN_FRAMES = 6
_STYLE = """<style>.clip { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.clip figure { margin: 0; } .clip img { width: 100%; border-radius: 6px; display: block; image-rendering: pixelated; }
.clip figcaption { font-size: 13px; overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); }</style>"""
_RELOAD = "<script>setTimeout(() => location.reload(), 15000)</script>"


class RunReport:
    """The page of one run."""

    def __init__(self, run: Path, lead: Sequence[str], heads: Sequence[Head], held_out: HeldOut, play: str) -> None:
        """`lead`: lines on data and network; `play`: the command that shows the agent playing."""
        self._run = run
        self._lead = lead
        self._heads = heads
        self._held_out = held_out
        self._play = play
        self._pictures: dict[int, list[str]] = {}
        self._written_s = -math.inf

    def write(
        self, step: int, share: float, left_s: float | None, *, is_over: bool = False, is_new: bool = False
    ) -> None:
        """Write the page if that was long ago, or something is new.

        Args:
            step: optimiser steps done.
            share: of the run, done.
            left_s: seconds until its end; None: not known yet.
            is_over: whether the run has ended, so that the page will not change any more.
            is_new: whether held-out clips have just been looked at.

        Raises:
            UserError: it cannot be written.
        """
        if not (is_over or is_new or time.monotonic() > self._written_s + _LEAST_S):
            return
        records = read_log(self._run)
        cards = [_losses(records, self._heads), *_heads(records), self._clips()]
        body = _STYLE + _facts(records, step, share, left_s, is_over) + _verdict(records, self._play)
        body += f'<div class="grid">{"".join(cards)}</div>' + ("" if is_over else _RELOAD)
        html = page.page(f"Training {self._run}", f"Training <small>{escape(str(self._run))}</small>", self._lead, body)
        with replaced(self._run / REPORT_FILE, "make space, then resume with --resume") as partial:
            partial.write_text(html, encoding="utf-8")
        self._written_s = time.monotonic()

    def _clips(self) -> str:
        """A card with some frames of held-out clips, what the person did and what the policy would have done."""
        parts = []
        dataset = self._held_out.dataset
        for number, predicted_TA in sorted(self._held_out.predicted.items()):
            key = self._held_out.keys[number]
            labels = dataset.labels(key.episode, key.start, len(predicted_TA))
            known = np.flatnonzero(labels.learn_T)
            steps = known[np.unique(np.linspace(0, len(known) - 1, _SHOWN_FRAMES).astype(int))] if len(known) else known
            if number not in self._pictures:
                self._pictures[number] = _pictures(dataset, key.episode, [key.start + int(step) for step in steps])
            figures = []
            for step, picture in zip(steps, self._pictures[number], strict=False):
                did, would = (dataset.space.decode(each[step], "mean") for each in (labels.target_TA, predicted_TA))
                mood = ' class="good"' if did.held() == would.held() else ""
                figures.append(
                    f'<figure><img src="{picture}" alt=""><figcaption>did: {escape(_words(did))}<br>'
                    f"<span{mood}>would: {escape(_words(would))}</span></figcaption></figure>"
                )
            parts.append(f'<p class="dim">{escape(_when(dataset, key.episode, key.start))}</p>')
            parts.append(f'<div class="clip">{"".join(figures)}</div>')
        if not parts:
            return ""
        note = "The most probable action on frames that it was not trained on; green where the same is held."
        return page.card("What it would do", "".join(parts), note, style="wide")


def _facts(records: Sequence[Mapping[str, Any]], step: int, share: float, left_s: float | None, is_over: bool) -> str:
    train = next((each for each in reversed(records) if each["kind"] == "train"), None)
    items = [(f"{share:.0%}", "ended" if is_over else "done", ""), (f"{step:,}", "steps", "")]
    if not is_over:
        items.append(("?" if left_s is None else clock_time(max(0.0, left_s)), "left", ""))
    if train is not None:
        wait = train["data_wait_share"]
        items += [
            (clock_time(train["elapsed_s"]), "trained", ""),
            (f"{train['frames_per_s']:,.0f}", "frames per second", ""),
            (f"{wait:.0%}", "of the time waiting for data", "bad" if wait > 0.3 else ""),
        ]
    return page.facts(items)


def _verdict(records: Sequence[Mapping[str, Any]], play: str) -> str:
    verdict = judge(records)
    mood = f' class="{verdict.mood}"' if verdict.mood else ""
    shown = f'<p{mood}>{escape(verdict.text)}</p><p class="dim">Watch it play: <code>{escape(play)}</code></p>'
    return page.card("Is it learning?", shown) + '<p class="dim"></p>'


def _losses(records: Sequence[Mapping[str, Any]], heads: Sequence[Head]) -> str:
    """Losses of training and held-out clips, both as the plain sum over heads, with the baselines' as lines."""
    curves = {
        "training": [
            (each["step"], Scores.of([each["cross_entropy"][head.name] for head in heads], heads).loss)
            for each in records
            if each["kind"] == "train"
        ],
        "held out": [(each["step"], each["loss"]) for each in records if each["kind"] == "eval"],
    }
    levels = {name: values["loss"] for name, values in _baselines(records).items()}
    note = "Lower is better. Below both lines it has learnt more than how often each key is held, and for how long."
    return page.card("Loss", plots.curves(curves, levels, "steps", "loss"), note)


def _heads(records: Sequence[Mapping[str, Any]]) -> list[str]:
    evals = [each for each in records if each["kind"] == "eval"]
    cards = []
    for name in evals[-1]["cross_entropy"] if evals else ():
        curve = [(each["step"], each["cross_entropy"][name]) for each in evals]
        levels = {kind: math.log(values["perplexity"][name]) for kind, values in _baselines(records).items()}
        if max(value for _, value in curve) > 1e-3 or any(value > 1e-3 for value in levels.values()):
            chart = plots.curves({"held out": curve}, levels, "steps", "nats")
            cards.append(page.card({"dx": "Mouse dx", "dy": "Mouse dy"}.get(name, name.capitalize()), chart))
    return cards


def _baselines(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The records of the baselines by what the page calls them."""
    found = next((each for each in records if each["kind"] == "baselines"), {})
    names = {"marginal": "guessing", "copy_last": "repeating"}
    return {shown: found[name] for name, shown in names.items() if name in found}


def _pictures(dataset: Dataset, episode: int, frames: Sequence[int]) -> list[str]:
    """Frames of a recording as data URLs; none where it cannot be read."""
    try:
        # Also where training reads features in place of pictures.
        return [_data_url(replace(dataset, features=None).decode(episode, frame, 1)[0]) for frame in frames]
    except (UserError, OSError):
        return []


def _data_url(frame_HWC: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(frame_HWC).save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _when(dataset: Dataset, episode: int, start: int) -> str:
    one = dataset.episodes[episode]
    return f"{one.task}, {one.id}, from frame {one.first_frame + start:,} on"


_BUTTONS = {"0": "left click", "1": "right click", "2": "middle click"}


def _words(action: Action) -> str:
    """An action in words: "W, left click, mouse +12 -3"."""
    parts = sorted(action.keys) + [_BUTTONS.get(each, f"button {each}") for each in sorted(action.buttons)]
    if action.dx or action.dy:
        parts.append(f"mouse {action.dx:+d} {action.dy:+d}")
    return ", ".join(parts) or "nothing"


def lead_of(dataset: Dataset, num_parameters: int) -> list[str]:
    """Lines on what is learnt from and by what."""
    tasks = sorted({each.task for each in dataset.episodes})
    shown = ", ".join(tasks[:6]) + (f" and {len(tasks) - 6} more" if len(tasks) > 6 else "")
    about = f"{counted(len(dataset.episodes), 'recording')}, {counted(dataset.num_steps, 'frame')} of {shown}"
    return [f"{about}; {num_parameters / 1e6:.1f}M parameters"]
