"""The page of a run of self-improvement: the score of every round by game, what was kept, what was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from eyehand.evaluate.statistics import mean_estimate
from eyehand.improve.options import ImproveOptions
from eyehand.improve.round import Round
from eyehand.pages import page, plots
from eyehand.replaced import replaced

__all__ = ["round_rows", "write_report"]

_ACCEPTED, _REFUSED = 3, 0  # colours


def round_rows(rounds: Sequence[Round]) -> list[list[str]]:
    """Round, episodes kept of those played, mean scores by game, gain, and whether it was accepted: one row each."""
    rows = []
    for each in rounds:
        scores = [mean_estimate(each.scores[game]) for game in rounds[0].scores]
        gain = "" if each.gain is None else f"{each.gain.value:+.2f} [{each.gain.low:+.2f}, {each.gain.high:+.2f}]"
        verdict = "before" if each.number == 0 else "accepted" if each.is_accepted else "refused"
        cells = [f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]" for score in scores]
        rows.append([str(each.number), f"{each.num_kept} of {each.num_played}", *cells, gain, verdict])
    return rows


def write_report(options: ImproveOptions, rounds: Sequence[Round]) -> None:
    """Write OUT/report.html.

    Raises:
        UserError: it cannot be written.
    """
    games = list(rounds[0].scores)
    table = page.table(["round", "kept", *games, "gain", ""], round_rows(rounds))
    note = "Validation scores with 95% intervals. Gain: paired, in standard deviations of the scores."
    cards = [page.card("Rounds", table, note, style="wide")]
    for game in games:
        bars = []
        for each in rounds:
            score, colour = mean_estimate(each.scores[game]), _ACCEPTED if each.is_accepted else _REFUSED
            bars.append(plots.Bar(f"round {each.number}", score.value, score.low, score.high, colour))
        cards.append(page.card(game, plots.intervals(bars, "score", {})))
    lead = [
        f"{options.starts} starts of each game, {options.tries} tries each, {options.minutes:g} minutes of training."
    ]
    best = next(each.number for each in reversed(rounds) if each.is_accepted)
    lead.append(f"The best policy is that of round {best}: {options.out / 'policy'}")
    html = page.page(
        "Self-improvement",
        f"Self-improvement <small>{escape(options.checkpoint)}</small>",
        lead,
        f'<div class="grid">{"".join(cards)}</div>',
    )
    with replaced(options.out / "report.html") as partial:
        partial.write_text(html, encoding="utf-8")
