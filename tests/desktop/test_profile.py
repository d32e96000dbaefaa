"""Profiles: every name is checked, every mistake is one sentence; those that come with eyehand are sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyehand.desktop.profile import load_profile, parse_profile, profile_names
from eyehand.errors import UserError
from eyehand.game import Screen
from eyehand.games.families import open_game

GOOD = """
title = "A game"
instructions = ["win", "win the game"]
keys = ["w", "Space"]
start = [{ keys = ["Enter"], wait_s = 1 }]
[launch]
command = ["game", "-w", "{width}"]
[launch.environment]
A = "b"
[checks]
arguments = ["--no-monsters"]
turn = { dx = 100 }
"""


def test_a_profile_is_read() -> None:
    profile = parse_profile("mine", GOOD)
    assert (profile.name, profile.title, profile.keys) == ("mine", "A game", ("w", "Space"))
    assert profile.launch.command == ("game", "-w", "{width}")
    assert profile.launch.environment == {"A": "b"}
    assert profile.start[0].action.keys == {"Enter"}
    assert profile.start[0].wait_s == 1
    assert profile.checks.turn is not None
    assert profile.checks.turn.action.dx == 100
    assert profile.calm.launch.command == ("game", "-w", "{width}", "--no-monsters")
    assert profile.calm.launch.environment == profile.launch.environment


@pytest.mark.parametrize("name", profile_names())
def test_the_profiles_that_come_with_eyehand_are_sound(name: str) -> None:
    profile = load_profile(name)
    assert profile.packages
    assert profile.keys
    assert profile.window_class or profile.window_title
    checks = profile.checks
    assert checks.move or checks.turn or (checks.steer_left and checks.steer_right), "it must run_checks something"
    tried = [step for step in (checks.move, checks.turn, checks.fire, checks.steer_left, checks.steer_right) if step]
    assert all(set(step.keys) <= set(profile.keys) and set(step.buttons) <= set(profile.buttons) for step in tried)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('keys = ["w", "Space"]', 'keys = ["w", "Spcae"]'), "unknown key 'Spcae'"),
        (('keys = ["w", "Space"]', 'keys = "w"'), "keys must be a list"),
        (('title = "A game"', 'titel = "A game"'), "titel is not known (did you mean title?)"),
        (('title = "A game"', ""), "title is missing"),
        (('command = ["game", "-w", "{width}"]', ""), "launch.command is missing"),
        (('command = ["game", "-w", "{width}"]', "command = []"), "launch.command is missing or empty"),
        (('instructions = ["win", "win the game"]', 'instructions = ["win"]'), "at least two ways"),
        (("dx = 100", "dx = 1.5"), "checks.turn.dx must be a whole number"),
        (("dx = 100", "dz = 1"), "checks.turn.dz is not known"),
        (("[checks]", "[proof]"), "[proof] is now called [checks]"),
        (("[checks]", "[checks"), "has a mistake"),
        (('A = "b"', "A = 1"), "launch.environment.A must be a text"),
        (("[launch]", '[launch]\nsize = "big"'), "'big' cannot be used"),
        (("[checks]", '[launch.files]\n"../game.cfg" = ""\n[checks]'), "must lie within the game's own folder"),
        (("[checks]", '[launch.files]\n"/game.cfg" = ""\n[checks]'), "must lie within the game's own folder"),
        (('start = [{ keys = ["Enter"], wait_s = 1 }]', "start = 3"), "start must be a list"),
        (('title = "A game"', 'title = "A game"\ntogether = 3'), "together must be a table"),
        (('title = "A game"', 'title = "A game"\nname = "mine"'), "a profile has the name of its file"),
        (('title = "A game"', 'title = "A game"\ntimeout_s = -1'), "must be above 0"),
        (('title = "A game"', 'title = "A game"\npx_per_degree = -1'), "not below it"),
        (("[checks]", "[together]\nhost = []\njoin = []\nmodes = {}\n[checks]"), "must name at least one mode"),
        (
            ("[checks]", "[together]\nhost = []\njoin = []\nmodes.duel = []\ninstructions.co-op = 'x'\n[checks]"),
            "together.instructions.co-op is no mode",
        ),
        (("[checks]", "[score]\nwhat = 'points'\n[checks]"), "one of screen, line and thumbs"),
        (("[checks]", "[score]\nwhat = 'points'\nthumbs = true\nline = '(1)'\n[checks]"), "one of screen, line"),
        (("[checks]", "[score]\nwhat = 'points'\nthumbs = true\nfile = 'a'\n[checks]"), "needs score.line"),
        (("[checks]", "[score]\nwhat = 'points'\nline = '(1)'\nfile = '/a'\n[checks]"), "the game's own folder"),
        (("[checks]", "[score]\nwhat = 'points'\nline = '(1'\n[checks]"), "no regular expression"),
        (("[checks]", "[score]\nwhat = 'points'\nline = 'score'\n[checks]"), "one group in parentheses"),
        (("[checks]", "[score]\nwhat = 'points'\nline = '(a+)+'\n[checks]"), "must not repeat a group"),
        (("[checks]", "[score]\nwhat = 'points'\nline = '.*.*.*(1)'\n[checks]"), "at most 2 of * + {"),
        (("[checks]", "[score]\nwhat = 'points'\nline = '(1)'\nseconds = 0\n[checks]"), "score.seconds must be from 1"),
        (
            (
                "[checks]",
                "[score]\nwhat = 'points'\n[score.screen]\nrectangle = [600, 0, 60, 20]\n"
                "digits = 3\nexamples = 'x'\n[checks]",
            ),
            "must lie within launch.size",
        ),
        (
            (
                "[checks]",
                "[score]\nwhat = 'points'\n[score.screen]\nrectangle = [0, 0, 9, 20]\n"
                "digits = 3\nexamples = 'x'\n[checks]",
            ),
            "each at least 4 pixels wide",
        ),
    ],
)
def test_every_mistake_is_one_sentence(change: tuple[str, str], sentence: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(UserError) as caught:
        parse_profile("mine", GOOD.replace(*change, 1))
    assert sentence in str(caught.value)
    assert "mine" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_section_that_is_no_table_and_a_file_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="checks must be a table"):
        parse_profile("mine", "checks = 3\n" + GOOD[: GOOD.index("[checks]")])
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not text in UTF-8"):
        load_profile(str(binary))


def test_wrong_names_and_places(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean chocolate-doom"):
        load_profile("chocolate-dom")
    with pytest.raises(UserError, match=r"The profile .* cannot be read"):
        load_profile(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="real time"):
        open_game("chocolate-doom")
    with pytest.raises(UserError, match="cannot be used"):
        open_game("chocolate-doom", realtime=True, screen=Screen(own_screen="640"))
    with pytest.raises(UserError, match="--own-screen is for desktop games"):
        open_game("doom/aim", realtime=True, screen=Screen(own_screen="640x480"))
    with pytest.raises(UserError, match="has its screen"):
        open_game("window:Doom", realtime=True, screen=Screen(own_screen="640x480"))
