"""The layout of every report: one self-contained HTML file, for small and large screens, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from eyehand.pages.plots import STYLE as PLOT_STYLE

__all__ = ["card", "facts", "page", "table"]

_STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #ffffff; --text: #1c2128; --dim: #6b7480; --line: #e3e6ea;
  --accent: #b07400; --good: #1a7f37; --bad: #d1242f; }
@media (prefers-color-scheme: dark) { :root { --back: #0e1116; --card: #161b22; --text: #e6edf3; --dim: #8b949e;
  --line: #2a313a; --accent: #ffc83d; --good: #3fb950; --bad: #ff6b6b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 24px; margin: 8px 0 2px; } h1 small { color: var(--accent); font-weight: 600; }
h2 { font-size: 15px; margin: 0 0 10px; }
p { margin: 4px 0; } p.dim, .dim { color: var(--dim); }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.facts { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); margin: 16px 0; }
.fact, .card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.fact { padding: 10px 14px; } .fact b { display: block; font-size: 22px; line-height: 1.25; }
.fact b.good { color: var(--good); } .fact b.bad { color: var(--bad); }
.fact span { color: var(--dim); font-size: 13px; }
.card { padding: 14px 16px; min-width: 0; } .wide { grid-column: 1 / -1; }
@media (min-width: 940px) { .tall { grid-row: span 2; } }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 500; font-size: 13px; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
video { width: 100%; border-radius: 8px; display: block; background: #000; }
code { font-size: 13px; overflow-wrap: anywhere; }
"""


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
