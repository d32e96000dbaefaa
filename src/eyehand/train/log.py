"""The log of a training run: `log.jsonl` (complete), TensorBoard (if installed), and the terminal.

Every line of the JSONL file is one object with `kind` (`train`, `eval`, `baselines`) and `step`. A resumed run first
drops the lines beyond the step it starts from, so that each step is there once.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eyehand.errors import UserError
from eyehand.progress import shown_progress
from eyehand.replaced import replaced
from eyehand.terminal import print_line

__all__ = ["LOG_FILE", "RunLog", "read_log"]

LOG_FILE = "log.jsonl"


def read_log(run: Path) -> list[dict[str, Any]]:
    """The records of a run; an incomplete last line is left out."""
    path = run / LOG_FILE
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


class RunLog:
    """A run's log. A context manager."""

    def __init__(self, run: Path, first_step: int) -> None:
        """Open (or, from `first_step` on, reopen) the log of a run."""
        kept = [json.dumps(record) + "\n" for record in read_log(run) if record["step"] <= first_step]
        with replaced(run / LOG_FILE) as partial:
            partial.write_text("".join(kept), encoding="utf-8")
        self._file = (run / LOG_FILE).open("a", encoding="utf-8")
        self._path = run / LOG_FILE
        self._board = _tensorboard(run, first_step)
        self._boards: dict[str, Any] = {}
        """Of the baselines: beside each figure of the held-out clips, as further lines of the same chart."""
        self._baselines = next((each for each in read_log(run) if each["kind"] == "baselines"), {})
        self._show_failure, threading.excepthook = threading.excepthook, self._hear
        self._shown = shown_progress()
        self.progress = self._shown.__enter__()
        self._text = ""

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one record. Nested mappings of numbers become TensorBoard's `kind/name/part`.

        Raises:
            UserError: the log cannot be written. That of TensorBoard ends alone.
        """
        line = json.dumps({"kind": kind, "step": step, "time_s": round(time.time(), 3), **values})
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"Cannot write {self._path} ({reason}): make space, then resume with --resume.") from error
        if self._board is not None:
            try:
                if kind == "baselines":
                    self._baselines = dict(values)
                    return
                for name, value in _flat(kind, values):
                    self._board.add_scalar(name, value, step)
                if kind == "eval":
                    self._write_baselines(step)
            except OSError as error:
                self._board = None
                self.say(f"nothing more is written for TensorBoard ({error.strerror or error})")

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard can show this run."""
        return self._board is not None

    def _write_baselines(self, step: int) -> None:
        for name, values in self._baselines.items():
            if isinstance(values, Mapping):
                if name not in self._boards:
                    self._boards[name] = _tensorboard(self._path.parent, step - 1, f"tensorboard/{name}")
                for figure, value in _flat("eval", values):
                    self._boards[name].add_scalar(figure, value, step)

    def show(self, step: int, share: float, left_s: float | None, text: str | None = None) -> None:
        """Show progress: `share` of the run is done, which takes `left_s` more seconds, or what the pace says; without
        a text the last one stays."""
        self._text = self._text if text is None else text
        self.progress("training", share, 1.0, f"step {step}  {self._text}".rstrip(), left_s)

    def say(self, text: str) -> None:
        """Print a line."""
        print_line(text)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a line that a full disk did not take has been reported
            self._file.close()
        for board in filter(None, (self._board, *self._boards.values())):
            with contextlib.suppress(OSError):
                board.close()
        threading.excepthook = self._show_failure
        self._shown.__exit__(None, None, None)

    def _hear(self, failure: threading.ExceptHookArgs) -> None:
        """TensorBoard's thread raises here what it raises in `write` too."""
        if not (isinstance(failure.exc_value, OSError) and "tensorboard" in type(failure.thread).__module__):
            self._show_failure(failure)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _tensorboard(run: Path, first_step: int, folder: str = "tensorboard") -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(run / folder), purge_step=first_step + 1)
    except OSError as error:
        print_line(f"nothing is written for TensorBoard ({error.strerror or error})")
        return None


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):
            pairs.append((f"{prefix}/{name}", float(value)))
    return pairs
