"""Scores from seeded play on the real engine, and the figures and pages made of them."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eyehand.errors import UserError
from eyehand.evaluate.score import EpisodeScore, EvaluationReport, evaluate, read_report
from eyehand.evaluate.score_options import EvaluateOptions
from eyehand.evaluate.score_report import print_scores, write_scores


def episode(game: str, player: str, seed: int, score: float, told: str | None = None) -> EpisodeScore:
    return EpisodeScore(game, player, seed, "do it", told or game, score, 5.0, 2, 0.5, 10.0, {"kills": score})


def made_up(agent: str | None = "pocket") -> EvaluationReport:
    """Two games; random scores 0 and 1, the demonstrator 10 and 11, the agent 5 and 6 (in the second game 1)."""
    episodes = []
    for game in ("doom/aim", "doom/approach"):
        for seed in range(2):
            episodes += [episode(game, "random", seed, seed), episode(game, "demonstrator", seed, 10 + seed)]
            if agent is not None:
                episodes.append(episode(game, agent, seed, 5 + seed if game == "doom/aim" else 0.5 + 1e-6 * seed))
    if agent is not None:
        episodes += [episode("doom/aim", agent, seed, -50.0, told="doom/approach") for seed in range(2)]
    names = {"doom/aim": "monsters", "doom/approach": "percent"}
    return EvaluationReport(
        agent, ("doom/aim", "doom/approach"), names, tuple(episodes), "2026-01-02T03:04", "a machine"
    )


def test_normalised_scores_leave_swapped_instructions_out() -> None:
    normalised = made_up().normalised()
    assert normalised is not None
    assert normalised.tasks["doom/aim"] is not None
    assert normalised.tasks["doom/aim"].value == pytest.approx(0.5)
    assert normalised.overall is not None
    assert normalised.overall.value == pytest.approx(0.25, abs=1e-6)
    assert made_up(agent=None).normalised() is None


def test_swaps_hold_both_instructions_of_a_map() -> None:
    swaps = made_up().swaps()
    assert {key: [e.score for e in episodes] for key, episodes in swaps.items()} == {
        ("doom/aim", "doom/aim"): [5, 6],
        ("doom/aim", "doom/approach"): [-50, -50],
    }


def test_written_and_read_again_it_is_the_same(tmp_path: Path) -> None:
    report = made_up()
    paths = write_scores(report, tmp_path / "new" / "scores.json")
    assert [path.suffix for path in paths] == [".json", ".html", ".svg"]
    assert read_report(paths[0]) == report
    assert json.loads(paths[0].read_text())["figures"]["means"]["doom/aim"]["random"]["value"] == 0.5
    assert "Instructions swapped" in paths[1].read_text(encoding="utf-8")
    ElementTree.fromstring(paths[2].read_text(encoding="utf-8"))
    assert len(write_scores(made_up(agent=None), tmp_path / "baselines.json")) == 2


def test_table_shows_everybody() -> None:
    text = _printed(made_up())
    assert "0.50 [0.00,1.00]" in text  # random at doom/aim
    assert "told one thing or the other" in text


def test_exits_and_kills_of_whole_levels_stand_beside_the_score(tmp_path: Path) -> None:
    report = made_up(agent=None)
    facts = {"exits": 1.0, "kills": 12.5, "deaths": 0.0, "seconds": 44.0}
    levels = [
        replace(e, facts=facts if e.player == "demonstrator" else {**facts, "exits": 0.0}) for e in report.episodes
    ]
    report = replace(report, episodes=tuple(e for e in levels if e.game == "doom/aim"))
    rows = [line.split()[:3] for line in _printed(report).splitlines()]
    assert ["doom/aim", "demonstrator", "1.00"] in rows
    assert ["doom/aim", "random", "0.00"] in rows
    assert "12.5 [12.5, 12.5]" in write_scores(report, tmp_path / "scores.json")[1].read_text(encoding="utf-8")
    assert "whole levels" not in _printed(made_up())


def _printed(report: EvaluationReport) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_scores(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("content", ['{"agent": 1}', "[1]", "1"])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(UserError, match="is no result of"):
        read_report(tmp_path / "other.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_report(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (EvaluateOptions(episodes=0), "--episodes must be at least 1"),
        (EvaluateOptions(game="doom/nothing"), "Unknown game"),
        (EvaluateOptions(checkpoint="no-such-checkpoint"), "no-such-checkpoint"),
        (EvaluateOptions(swap="doom/aim,doom/approach"), "--swap needs --checkpoint"),
        (EvaluateOptions(baselines=Path("missing.json")), "missing.json cannot be read"),
    ],
)
def test_bad_options_are_told_at_once(options: EvaluateOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(options)


def test_doom_scores_repeat_and_baselines_are_not_played_twice(tmp_path: Path) -> None:
    options = EvaluateOptions(game="doom/aim", episodes=2, workers=1)
    told: list[tuple[str, float, float]] = []
    first = evaluate(options, lambda *progress: told.append(progress))
    assert told == [("playing episodes", done, 4) for done in (0, 2, 4)]
    assert first.scores("demonstrator")["doom/aim"][0] > 50
    demonstrator = first.episodes[-1]
    assert (demonstrator.player, demonstrator.seed, demonstrator.told) == ("demonstrator", 1, "doom/aim")
    assert demonstrator.trigger_pulls >= 1
    assert demonstrator.facts["kills"] == 1

    path, *_ = write_scores(first, tmp_path / "baselines.json")
    told.clear()
    again = evaluate(replace(options, baselines=path), lambda *progress: told.append(progress))
    assert told == [("playing episodes", 4, 4)]
    assert again.episodes == first.episodes
    told.clear()
    more = evaluate(replace(options, baselines=path, episodes=3), lambda *progress: told.append(progress))
    assert told == [("playing episodes", done, 6) for done in (4, 5, 6)]
    assert [e for e in more.episodes if e.seed < 2] == list(first.episodes)

    def stop(what: str, done: float, total: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    cut_short = evaluate(options, stop)
    assert cut_short.is_interrupted
    assert cut_short.episodes == tuple(e for e in first.episodes if e.player == "demonstrator")
    assert write_scores(cut_short, tmp_path / "cut.json")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny network that was never trained."""
    import torch

    from eyehand.checkpoint import save_checkpoint
    from eyehand.model.policy import Policy
    from eyehand.model.presets import medium

    torch.manual_seed(0)
    config = replace(medium(), history_steps=4, width=64, num_layers=1, ffn_hidden=64, decoder_ffn_hidden=64)
    return save_checkpoint(tmp_path / "tiny", Policy(config))


@pytest.mark.slow
def test_an_agent_is_scored_in_worker_processes_with_swapped_instructions(checkpoint: Path) -> None:
    options = EvaluateOptions(
        checkpoint=str(checkpoint), game="doom/aim", episodes=1, workers=2, swap="doom/aim,doom/approach"
    )
    report = evaluate(options)
    assert report.agent == "tiny"
    assert {player: len(report.scores(player)["doom/aim"]) for player in report.players} == {
        "random": 1,
        "demonstrator": 1,
        "tiny": 1,
    }
    assert set(report.swaps()) == {
        ("doom/aim", "doom/aim"),
        ("doom/aim", "doom/approach"),
        ("doom/approach", "doom/approach"),
        ("doom/approach", "doom/aim"),
    }
    told = report.swaps()[("doom/approach", "doom/aim")]
    assert all("monster" in (episode.instruction or "") for episode in told)
