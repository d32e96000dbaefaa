"""Decisions on which recordings of an index are used, beside it and never in the data: `INDEX.parquet.checked.json`.

    {"SOURCE": {"decision": "leave out", "by": "check", "reasons": ["The picture is black on 80% of its frames."],
                "likelihood": 0.31, ...}, ...}

The check decides first, a person last: `decide` (`eyehand data review`), or "use" written in place of "leave out". A
later check changes nothing that a person decided. `read_index` gives every recording that is left out its reasons as an
error, and conditions may name what is decided and what was found (`CHECKED_COLUMNS`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from eyehand.data.check import Verdict
from eyehand.errors import UserError
from eyehand.foreign import parse_json, read_regular
from eyehand.replaced import replaced
from eyehand.typed import typed

__all__ = ["CHECKED_COLUMNS", "Choice", "Decided", "decide", "decisions_beside", "read_decisions", "write_decisions"]

Choice = Literal["use", "leave out"]

_MOST_BYTES = 1 << 30  # of the decisions on a million recordings

CHECKED_COLUMNS: dict[str, type] = {
    "decision": str,
    "decided_by": str,
    "likelihood": float,
    "held_share": float,
    "most_keys": int,
    "interaction": float,
    "measured_fps": float,
    "frozen_share": float,
    "black_share": float,
    "lag_ticks": int,
}
"""What a condition on an index may name besides the index's own columns; null where nothing was checked."""


@dataclass(frozen=True)
class Decided:
    """The decision on one recording.

    Attributes:
        id, source: as in the index.
        choice: use it or leave it out.
        by: the check or a person.
        reasons: of the check to leave it out.
        note: of the person.
        facts: the check's measurements by name.
    """

    id: str
    source: str
    choice: Choice
    by: Literal["check", "person"]
    reasons: tuple[str, ...] = ()
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def why_left_out(self) -> tuple[str, ...]:
        """Sentences for an `error`; empty if it is used."""
        if self.choice == "use":
            return ()
        said = f"A person left it out{': ' + self.note.rstrip('.') if self.note else ''}."
        return self.reasons if self.by == "check" else (said, *self.reasons)

    @property
    def columns(self) -> dict[str, Any]:
        """Values of `CHECKED_COLUMNS`."""
        named = {"decision": self.choice, "decided_by": self.by}
        return {name: named.get(name, self.facts.get(name)) for name in CHECKED_COLUMNS}

    def to_json(self) -> dict[str, Any]:
        said = {"note": self.note} if self.note else {}
        return {"decision": self.choice, "by": self.by, **said, "id": self.id, "reasons": self.reasons, **self.facts}


def decisions_beside(index: Path) -> Path:
    """The path of the decisions on an index."""
    return index.with_name(index.name + ".checked.json")


def read_decisions(path: Path) -> dict[str, Decided]:
    """The decisions by source; empty if there is no such file.

    Raises:
        UserError: it is damaged.
    """
    try:
        entries = parse_json(read_regular(path, _MOST_BYTES))
        return {source: _decided(source, entry) for source, entry in typed(dict[str, dict[str, Any]], entries).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or remove it and check the data again.") from error


def write_decisions(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write a check's decisions, at once or not at all.

    Decisions of a person are kept, and so are those of an older check on recordings that are not among `verdicts`.

    Raises:
        UserError: the file cannot be written, or an older one is damaged.
    """
    decided = read_decisions(path)
    for verdict in verdicts:
        facts = {name: value for name, value in asdict(verdict).items() if name not in ("id", "source", "reasons")}
        old = decided.get(verdict.source)
        is_by_person = old is not None and old.by == "person"
        decided[verdict.source] = Decided(
            id=verdict.id,
            source=verdict.source,
            choice=old.choice if old is not None and is_by_person else "use" if verdict.is_used else "leave out",
            by="person" if is_by_person else "check",
            reasons=verdict.reasons,
            note=old.note if old is not None else "",
            facts=facts,
        )
    _write(decided, path)


def decide(path: Path, choices: Mapping[str, tuple[str, Choice]], note: str = "") -> None:
    """Write a person's decisions.

    Args:
        path: the file of decisions.
        choices: from the source of each recording to its id and choice.
        note: the person's reason.

    Raises:
        UserError: the file cannot be written, or is damaged.
    """
    decided = read_decisions(path)
    for source, (key, choice) in choices.items():
        old = decided.get(source, Decided(key, source, choice, "person"))
        decided[source] = Decided(old.id, source, choice, "person", old.reasons, note, old.facts)
    _write(decided, path)


@dataclass(frozen=True)
class _Entry:
    """The entry of a recording in the file, besides the facts of a check."""

    decision: Choice
    reasons: tuple[str, ...]
    by: str = "check"
    note: str = ""
    id: str | None = None


def _decided(source: str, values: Mapping[str, Any]) -> Decided:
    entry = typed(_Entry, {name: value for name, value in values.items() if name in _Entry.__annotations__}, source)
    facts = {name: value for name, value in values.items() if name not in _Entry.__annotations__}
    for name, kind in CHECKED_COLUMNS.items():
        typed(kind | None, facts.get(name), f"{source}.{name}")  # type: ignore[arg-type]
    # Who writes another decision into the file need not say more.
    is_by_person = entry.by == "person" or (entry.by == "check" and (entry.decision == "use") == bool(entry.reasons))
    by: Literal["check", "person"] = "person" if is_by_person else "check"
    return Decided(entry.id or Path(source).name, source, entry.decision, by, entry.reasons, entry.note, facts)


def _write(decided: Mapping[str, Decided], path: Path) -> None:
    with replaced(path) as partial:
        partial.write_text(json.dumps({source: each.to_json() for source, each in decided.items()}, indent=1))
