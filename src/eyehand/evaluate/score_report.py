"""Output of an `EvaluationReport`: in the terminal, as JSON, as one HTML page, and as an SVG for a README."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from eyehand.evaluate.score import EpisodeScore, EvaluationReport
from eyehand.evaluate.statistics import Estimate, mean_estimate
from eyehand.pages import page, plots
from eyehand.replaced import replaced

if TYPE_CHECKING:
    from eyehand.console import Console

__all__ = ["print_scores", "write_scores"]

_COLOURS = (6, 0, 3)
"""Random grey, demonstrator blue, agent amber: numbers of the plots' colours."""

_BEHAVIOUR = ("score", "trigger pulls", "walking", "turning px/tick", "seconds")


def write_scores(report: EvaluationReport, json_path: Path) -> list[Path]:
    """Write the JSON, and beside it a page (.html) and, with an agent, a plot (.svg); returns their paths.

    Raises:
        UserError: the folder cannot be written.
    """
    contents = {json_path: json.dumps(report.to_json(), indent=1) + "\n", json_path.with_suffix(".html"): _html(report)}
    if report.agent is not None:
        contents[json_path.with_suffix(".svg")] = _svg_file(report)
    for path, content in contents.items():
        with replaced(path) as partial:
            partial.write_text(content, encoding="utf-8")
    return list(contents)


def print_scores(report: EvaluationReport, console: Console) -> None:
    """Print the table of means and normalised scores, then that of the swapped instructions."""
    columns, rows = _score_table(report)
    _print_table(console, [*columns, "score counts"], [[*row, report.score_names.get(row[0], "")] for row in rows])
    if levels := _level_table(report):
        _print_table(console, *levels, num_names=2, title="whole levels: means of an episode")
    if swaps := _swap_table(report):
        _print_table(console, *swaps, num_names=2, title="told one thing or the other")


def _print_table(
    console: Console, columns: list[str], rows: list[list[str]], *, num_names: int = 1, title: str | None = None
) -> None:
    """Print a table whose first columns are names, as is one of what the score counts; the others are numbers."""
    from eyehand.console import Table

    table = Table(header_style="dim", pad_edge=False, box=None, title=title, title_style="")
    # An interval stays in one piece, beneath its value where there is no room beside it.
    rows = [[cell.replace(", ", ",") if cell.endswith("]") else cell for cell in row] for row in rows]
    for number, name in enumerate(columns):
        words = [word for row in rows for word in row[number].split()]
        # The name of a checkpoint may be of any length: it is folded, rather than other columns left out.
        longest = max(map(len, [*words, name[: len("demonstrator")]]))
        is_text = number < num_names or name == "score counts"
        table.add_column(name, justify="left" if is_text else "right", min_width=None if is_text else longest)
    for row in rows:
        table.add_row(*row, style="bold" if row[0] == "all" else None)
    console.print(table)


def _score_table(report: EvaluationReport) -> tuple[list[str], list[list[str]]]:
    normalised = report.normalised()
    columns = ["game", *report.players, *(["normalised"] if normalised else [])]
    rows = []
    for game in report.games:
        row = [game, *(_estimate(report.mean(player, game)) for player in report.players)]
        if normalised is not None:
            row.append(_estimate(normalised.tasks.get(game)))
        rows.append(row)
    if normalised is not None:
        rows.append(["all", *("" for _ in report.players), _estimate(normalised.overall)])
    return columns, rows


def _estimate(estimate: Estimate | None) -> str:
    """A value with its 95% interval, e.g. "17.2 [15.9, 18.4]"."""
    if estimate is None:
        return "-"
    form = ".1f" if max(abs(estimate.low), abs(estimate.high)) >= 10 else ".2f"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _level_table(report: EvaluationReport) -> tuple[list[str], list[list[str]]] | None:
    """What came of the games that have an exit, beside their score: by game and player."""
    names = ("exits", "kills", "deaths", "seconds")
    rows = []
    for game, player in itertools.product(report.games, report.players):
        episodes = [e.facts for e in report.episodes if (e.game, e.player) == (game, player) and "exits" in e.facts]
        if episodes:
            means = (mean_estimate([facts[name] for facts in episodes]) for name in names)
            rows.append([game, player, *map(_estimate, means)])
    return (["game", "player", *names], rows) if rows else None


def _swap_table(report: EvaluationReport) -> tuple[list[str], list[list[str]]] | None:
    swaps = report.swaps()
    if not swaps:
        return None
    shared = set.intersection(*(set(episodes[0].facts) for episodes in swaps.values())) - {"seconds"}
    facts = sorted(shared & {"kills", "shots", "frags", "deaths"})
    rows = []
    for (game, told), episodes in swaps.items():
        rows.append(
            [game, told, *_behaviour(episodes), *(f"{fmean(e.facts[fact] for e in episodes):.2f}" for fact in facts)]
        )
    return ["map and score of", "told to do", *_BEHAVIOUR, *facts], rows


def _behaviour(episodes: Sequence[EpisodeScore]) -> list[str]:
    return [
        f"{fmean(episode.score for episode in episodes):.1f}",
        f"{fmean(episode.trigger_pulls for episode in episodes):.2f}",
        f"{fmean(episode.walking for episode in episodes):.0%}",
        f"{fmean(episode.turning for episode in episodes):.1f}",
        f"{fmean(episode.seconds for episode in episodes):.1f}",
    ]


def _html(report: EvaluationReport) -> str:
    count = max((len(scores) for player in report.players for scores in report.scores(player).values()), default=0)
    lead = [f"{report.date[:16].replace('T', ' ')} · {report.machine}"]
    lead.append(f"{count} seeded episodes per game and player; brackets and whiskers are 95% intervals (bootstrap).")
    cards = [page.card("Scores", page.table(*_score_table(report)), style="wide")]
    normalised = report.normalised()
    headline = ""
    if normalised is not None and normalised.overall is not None:
        note = "0 is random, 1 is the demonstrator: (agent - random) / (demonstrator - random)."
        cards.append(page.card("Normalised score", _normalised_plot(report), note, style="tall"))
        below = [game for game, estimate in normalised.tasks.items() if estimate and estimate.value < 0.5]
        overall = normalised.overall
        items = [
            (f"{overall.value:.2f}", f"mean normalised score, {overall.low:.2f} to {overall.high:.2f}", ""),
            (str(len(report.games)), "game, one network" if len(report.games) == 1 else "games, one network", ""),
            (str(len(below)), "game below 0.5" if len(below) == 1 else "games below 0.5", "bad" if below else "good"),
        ]
        headline = page.facts(items)
    cards += [_game_card(report, game) for game in report.games if report.score_names.get(game)]
    if levels := _level_table(report):
        cards.append(page.card("Whole levels", page.table(*levels), "Means of an episode.", style="wide"))
    if swaps := _swap_table(report):
        note = "The same map and seeds, told one thing or the other. Means per episode."
        cards.append(page.card("Instructions swapped", page.table(*swaps), note, style="wide"))
    heading = f"Scores <small>{escape(report.agent or 'baselines')}</small>"
    body = headline + f'<div class="grid">{"".join(cards)}</div>'
    return page.page(f"Scores of {report.agent or 'the baselines'}", heading, lead, body)


def _normalised_plot(report: EvaluationReport) -> str:
    normalised = report.normalised()
    assert normalised is not None
    bars = [_bar(game, estimate, 3) for game, estimate in normalised.tasks.items() if estimate is not None]
    if normalised.overall is not None:
        bars.append(_bar("all", normalised.overall, 0))
    return plots.intervals(bars, "normalised score", {"random": 0.0, "demonstrator": 1.0})


def _game_card(report: EvaluationReport, game: str) -> str:
    means = [
        (player, colour, report.mean(player, game)) for player, colour in zip(report.players, _COLOURS, strict=False)
    ]
    bars = [_bar(player, mean, colour) for player, colour, mean in means if mean is not None]
    return page.card(game, plots.intervals(bars, report.score_names.get(game, "score"), {}))


def _bar(name: str, estimate: Estimate, colour: int) -> plots.Bar:
    return plots.Bar(name, estimate.value, estimate.low, estimate.high, colour)


def _svg_file(report: EvaluationReport) -> str:
    """The plot of the normalised scores as an SVG file with its own colours for light and dark pages."""
    themes = (
        "svg{--text:#1c2128;--dim:#6b7480;--line:#dde1e6;--bad:#d1242f}"
        "@media(prefers-color-scheme:dark){svg{--text:#e6edf3;--dim:#8b949e;--line:#2a313a;--bad:#ff6b6b}}"
    )
    return _normalised_plot(report).replace("<title>", f"<style>{themes}{plots.STYLE}</style><title>", 1) + "\n"
