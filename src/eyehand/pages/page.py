"""The layout of every report: one self-contained HTML file, for small and large screens, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from eyehand.pages.plots import STYLE as PLOT_STYLE

__all__ = ["card", "facts", "page", "table"]

_STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


def page(title: str, heading: str, lead: Sequence[str], body: str) -> str:
    """A whole page. `heading` and `body` are HTML, `title` and the lines of `lead` plain text."""
    lines = "".join(f'<p class="dim">{escape(line)}</p>' for line in lead)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{PLOT_STYLE}</style></head>"
        f"<body><main><h1>{heading}</h1>{lines}{body}</main></body></html>\n"
    )


def facts(items: Sequence[tuple[str, str, str]]) -> str:
    """The row of large figures: (value, its name, "good", "bad" or "")."""
    cells = "".join(
        f'<div class="fact"><b class="{escape(mood)}">{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name, mood in items
    )
    return f'<div class="facts">{cells}</div>'


def card(heading: str, inner: str, note: str = "", style: str = "") -> str:
    """A box with a heading, HTML inside, and a line of explanation; style "wide" or "tall" on large screens."""
    below = f'<p class="dim">{escape(note)}</p>' if note else ""
    return f'<section class="card {style}"><h2>{escape(heading)}</h2>{inner}{below}</section>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text, the first column left-aligned."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
