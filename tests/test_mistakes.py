"""The mistakes of an evening: each gets one sentence that says what to do, and status 2, and nothing is left behind."""

from __future__ import annotations

import importlib
import json
import os
import re
import typing
from argparse import ArgumentTypeError
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from eyehand.cli import COMMANDS, main, module_of
from eyehand.command_line import BARE, Given, option_names
from eyehand.option_rules import NotWith, OnlyWith, amount, count
from programs import need_xcb

TYPOS = {
    "trian": "did you mean train?",
    "sing": "Unknown command 'sing': There are games, record,",
    "playwith": "did you mean play-with?",
    "play --colour red doom/aim": "eyehand play has no option --colour",
    "play doom/aim --secnods 3": "did you mean --seconds?",
    "train --data EMPTY --out NEW --minuts 3": "did you mean --minutes?",
    "train EMPTY --out NEW --batch_sise 3": "did you mean --batch-size?",
    "record doom/aim --out NEW --episode 3": "did you mean --episodes?",
    "record doom/aim --out NEW --taught": "is now called --dagger",
    "evaluate --game doom/aim --seeds 3": "did you mean --seed?",
    "serve --prot 1": "eyehand serve has no option --prot",
    "data chekc EMPTY": "did you mean check?",
    "data frobnicate": "choose one of index, list, check,",
    "data check EMPTY --wokrers 3": "did you mean --workers?",
    "data push EMPTY NEW --license mit": "did you mean --licence?",
    "checkpoint inf": "did you mean info?",
    "import vtp EMPTY --out NEW": "did you mean vpt?",
    "games doom/aimm": "did you mean doom/aim",
    "games show supertuxx": "did you mean supertux? `eyehand games` lists all",
    "play supertuxx": "did you mean supertux?",
    "play doom/aimm": "did you mean doom/aim",
    "record doom/aimm --out NEW": "did you mean doom/aim",
    "bench lvie": "The argument of eyehand bench cannot be 'lvie': choose one of live.",
    "train EMPTY --out NEW --preset poket": "choose one of pocket,",
    "play doom/aim --runtime torhc": "Option --runtime cannot be 'torhc': choose one of auto, torch,",
    "export lerobto EMPTY --out NEW": "cannot be 'lerobto': choose one of lerobot",
}
MISSING = {
    "train": "eyehand train needs --data [PATH [PATH ...]] and --out PATH",
    "train EMPTY": "eyehand train needs --out PATH",
    "record": "eyehand record needs --out PATH",
    "record --out NEW": "either --game NAME",
    "improve": "eyehand improve needs --checkpoint",
    "inspect": "eyehand inspect needs PATH",
    "data": "Say what to do: eyehand data index | list | check",
    "data index": "eyehand data index needs",
    "data list": "eyehand data list needs INDEX",
    "data check": "eyehand data check needs SRC",
    "data push EMPTY": "eyehand data push needs URL",
    "data reencode EMPTY": "eyehand data reencode needs --out PATH",
    "checkpoint": "Say what to do: eyehand checkpoint info | import | export | verify",
    "checkpoint export": "eyehand checkpoint export needs CHECKPOINT",
    "import": "Say what to do: eyehand import vpt | owa",
    "import vpt EMPTY": "eyehand import vpt needs",
    "export lerobot": "eyehand export needs SRC and --out PATH",
    "play": "either --game NAME",
    "play --game": "needs --game",
    "train EMPTY --out": "needs --out PATH: a value is missing",
    "train EMPTY --out NEW --betas 1": "needs --betas FLOAT FLOAT: a value is missing",
    "games show": "Say which: eyehand games show NAME",
    "--config": "--config needs a value",
    "--config CONFIG": "Say what to do",
}
EMPTY = {
    "play --game ": "The argument behind --game is empty: is a variable of the shell unset?",
    "record doom/aim --out= --player random": "The argument behind --out= is empty",
    "play doom/aim --player ": "The argument behind --player is empty",
    "inspect ": "The argument behind eyehand inspect is empty",
    "evaluate --game doom/aim,": "Unknown game ''",
    "inspect EMPTY": "holds no recordings: make some with `eyehand record`",
    "train EMPTY --out NEW": "holds no recordings: make some with `eyehand record`",
    "data check EMPTY": "EMPTY",
    "data index EMPTY --out NEW.parquet": "EMPTY",
    "data reencode EMPTY --out NEW": "EMPTY",
    "data push EMPTY NEW": "holds no recordings",
    "export lerobot EMPTY --out NEW": "EMPTY",
    "checkpoint info EMPTY": "EMPTY has no checkpoint.json",
    "play doom/aim --checkpoint EMPTY": "EMPTY has no checkpoint.json",
    "import vpt EMPTY --out NEW": "EMPTY",
}
WRONG = {
    "play quake/dm6": "Unknown game 'quake/dm6'",
    "play doom": "Unknown game 'doom'",
    "play doom/aim x": "does not know what 'x' is for",
    "play doom/aim --video=3": "does not know what '3' is for",
    "inspect EMPTY FILE": "does not know what",
    "play doom/aim --checkpoint no/such": "There is no checkpoint 'no/such'",
    "play doom/aim --seconds -1": "--seconds must be more than 0",
    "play doom/aim --seconds nan": "Option --seconds cannot be nan: give a number.",
    "play doom/aim --seconds soon": "Option --seconds must be a number, not soon.",
    "play doom/aim --seed 1.5": "Option --seed must be a whole number, not 1.5.",
    "play doom/aim --seed -1": "Option --seed must be 0 or more, not -1.",
    "play doom/aim --own-screen 640x480": "--own-screen is for desktop games",
    "play doom/aim --window Tux": "either --game NAME",
    "record doom/aim --out NEW --noise-injection inf": "--noise-injection cannot be inf",
    "record doom/aim --out NEW --minutes inf": "Option --minutes cannot be inf",
    "record doom/aim --out NEW --minutes 0": "Option --minutes must be above 0",
    "record doom/aim --out NEW --player nobody --episodes 1": "nobody",
    "record doom/aim --out NEW --workers 0": "must be above 0",
    "record doom/aim --out NEW --dagger --learner-share 1.5": "--learner-share must be between 0 and 1",
    "inspect EMPTY --html NEW --max-mb inf": "Option --max-mb cannot be inf",
    "inspect no/such": "no/such is no folder",
    "inspect FILE": "is no folder",
    "games tetris": "Unknown game 'tetris'",
    "games list NAME": "takes no name: write `eyehand games show NAME`",
    "games check doom/aim": "is no desktop game",
    "train FILE --out NEW": "FILE",
    "train no/such --out NEW": "no/such",
    "train EMPTY --out NEW --preset giant": "giant",
    "train EMPTY --out NEW --subset 7": "Option --subset cannot be '7': choose one of 6, 12, 25, 50, 100.",
    "train EMPTY --out NEW --batch-size 0": "batch_size",
    "train EMPTY --out NEW --minutes 0": "minutes is 0.0: it must be above 0",
    "train EMPTY --out NEW --steps 0": "steps is 0: it must be at least 1",
    "train EMPTY --out NEW --lr fast": "Option --lr must be a number, not fast.",
    "train EMPTY --out NEW --resume": "There is no run to resume",
    "evaluate --game doom/aim --checkpoint no/such": "There is no checkpoint 'no/such'",
    "evaluate --workers -1": "--workers must be at least 1, not -1",
    "evaluate --episodes 0": "--episodes must be at least 1, not 0",
    "evaluate --baselines FILE": "FILE",
    "checkpoint info no/such": "There is no checkpoint 'no/such'",
    "checkpoint import no/such NEW": "no/such",
    "data list FILE": "FILE",
    "data list no/such.parquet": "no/such.parquet",
    "data index EMPTY --out NEW": ".parquet",
    "data check no/such": "no/such",
    "data check EMPTY --workers 0": "--workers must be above 0",
    "data gap": "give either a folder of recordings or --game",
    "bench live --ticks 0": "give --ticks and --threads of 1 or more",
    "view 1": "Nothing plays that can be watched",
    "play-with doom/aim": "is no desktop game",
    "play-with crispy-doom --own-screen large": "large",
    "--config no/such.toml train": "no/such.toml cannot be read",
    "--config FILE train": "is no TOML file",
    "train --config CONFIG": "eyehand train has no option --minuts: did you mean --minutes?",
    "play hunt\u00efng/\u4e2d": "Unknown game 'hunt\u00efng/\u4e2d'",
    "inspect no/\u202etxt.exe": "no/\\u202etxt.exe is no folder",
}
USELESS = {
    "record doom/aim --out NEW --learner-share 0.5": "--learner-share does nothing without --dagger",
    "record doom/aim --out NEW --wait": "option --wait is for games that you play yourself",
    "record supertux --out NEW --player random": "option --player is for games that a player plays",
    "record supertux --out NEW --episodes 3": "option --episodes is for games that a player plays",
    "train EMPTY --out NEW --views 3": "--views does nothing without --trunk",
    "train EMPTY --out NEW --train-trunk": "--train-trunk does nothing without --trunk",
    "train EMPTY --out NEW --trunk lite0 --augment 2": "--augment does nothing beside --trunk",
    "train EMPTY --out NEW --trunk pocket-doom --train-trunk --augment 2": "EMPTY",
    "train EMPTY --out NEW --init-from pocket-doom --preset medium": "--preset does nothing beside --init-from",
    "evaluate --device cpu": "--device does nothing without --data",
    "evaluate pocket-doom --data EMPTY --episodes 3": "--episodes does nothing beside --data",
    "play doom/aim --player random --checkpoint pocket-doom": "--checkpoint does nothing beside --player",
    "play doom/aim --player random --threads 2": "--threads does nothing beside --player",
    "play doom/aim --token-file FILE": "--token-file does nothing without --server",
    "data check EMPTY --least-likelihood 0.5": "--least-likelihood does nothing without --policy",
    "data check EMPTY --address host:1": "--address does nothing without --engine ray",
    "data review FILE --note why": "--note does nothing without --use or --leave-out",
    "inspect EMPTY --picture network": "--picture does nothing without --html",
    "bench live --clips 3": "--clips does nothing without --data",
    "games --own-screen 640x480": "--own-screen does nothing without --pattern check",
}
UNWRITABLE = {
    "evaluate --game doom/aim --checkpoint no/such --json FILE/x.json": "Cannot write FILE/x.json (",
    "evaluate --game doom/aim --checkpoint no/such --json EMPTY": "Cannot write EMPTY (",
    "bench live --checkpoint no/such --json FILE/x.json": "Cannot write FILE/x.json (",
    "data check no/such --out FILE/x.json": "Cannot write FILE/x.json (",
    "inspect no/such --html EMPTY": "Cannot write EMPTY (",
    "play doom/aim --checkpoint no/such --out FILE/x": "Cannot write FILE/x (",
    "train --data no/such --out FILE/x": "Cannot write FILE/x (",
    "checkpoint export no/such FILE/x.ckpt": "Cannot write FILE/x.ckpt (",
    "record doom/aim --out FILE/x": "Cannot write FILE/x (",
    "train EMPTY --out /proc/eyehand": "Cannot write /proc/eyehand (",
}
NO_DISPLAY = {
    "record supertux --out NEW": "There is no display (DISPLAY is not set)",
    "play --window Tux": "There is no display (DISPLAY is not set)",
    "play-with": "Your own game needs a display, and there is none",
    "play doom/aim --visible": "There is no screen for Doom's window",
}


@pytest.mark.parametrize("kind", ["TYPOS", "MISSING", "EMPTY", "WRONG", "USELESS", "UNWRITABLE", "NO_DISPLAY"])
def test_each_mistake_gets_one_sentence_and_status_2(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind in ("WRONG", "NO_DISPLAY"):  # some are of desktop games
        need_xcb()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Path("EMPTY").mkdir()
    Path("FILE").write_text("old = [\n")
    Path("CONFIG").write_text("[train]\nminuts = 3\n")
    wrong = []
    for line, sentence in globals()[kind].items():
        status: object
        try:
            status = main(line.split(" "))
        except BaseException as error:  # what escapes would be a traceback
            status = error
        said = capsys.readouterr()
        told = said.err.strip().removeprefix("eyehand: ")
        if status != 2 or sentence not in told or len(told.splitlines()) != 1 or said.out:
            wrong.append(f"{line}: {status!r}, {told!r}, {said.out!r}")
        if sorted(os.listdir()) != ["CONFIG", "EMPTY", "FILE"] or os.listdir("EMPTY"):
            wrong.append(f"{line} leaves {sorted(os.listdir())} behind")
            break
    assert not wrong, "\n".join(wrong)


def test_there_are_about_a_hundred_of_them() -> None:
    assert sum(map(len, (TYPOS, MISSING, EMPTY, WRONG, USELESS, UNWRITABLE, NO_DISPLAY))) >= 102


def _options(kind: type, found: dict[str, tuple[type, object]]) -> dict[str, tuple[type, object]]:
    """Every option of a command with its class and type, also those of groups and sub-commands."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        parts = [hints[field.name]]
        for part in parts:
            parts += typing.get_args(part)
        groups = [part for part in parts if is_dataclass(part) and isinstance(part, type)]
        for group in groups:
            _options(group, found)
        if not groups:
            found[f"{kind.__name__}.{field.name}"] = kind, hints[field.name]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_its_help_ties_to_another_carries_the_rule(name: str) -> None:
    """So that no option does nothing in silence: "with --dagger, the share of ..." is refused without --dagger."""
    options = _options(importlib.import_module(module_of(name)).Options, {})
    names = {option.partition(".")[2] for option in options}
    for option, (kind, hint) in options.items():
        field = option.partition(".")[2]
        documented = "\n".join(base.__doc__ or "" for base in kind.__mro__)
        found = re.search(rf"^ +{field}: ((?:.|\n(?! +\w+: ))*)", documented, re.MULTILINE)
        text = " ".join(found.group(1).split()) if found else ""
        rules = [rule for rule in getattr(hint, "__metadata__", ()) if isinstance(rule, OnlyWith)]
        if tied := re.match(r"[Ww]ith (?:--|`)([\w-]+)`?[,:]", text):
            needed = tied.group(1).replace("-", "_")
            assert any(needed in rule.others for rule in rules), f"{option}: {text}"
        for rule in rules:
            others = {other.partition("=")[0] for other in rule.others}
            assert others <= names or isinstance(rule, NotWith), f"{option} depends on an option that is not there"


def test_a_bare_word_stands_for_the_obvious_option() -> None:
    for name, option in BARE.items():
        kind = importlib.import_module(module_of(name)).Options
        assert option in option_names(kind)
        assert Given(name, kind, ("x", "--seed", "3")).with_bare_words.words == (option, "x", "--seed", "3")
        assert Given(name, kind, ("x", option, "y")).with_bare_words.words == ("x", option, "y")
    assert main(["evaluate", "no/such", "--game", "doom/aim"]) == 2


def test_options_come_from_a_file_and_what_is_written_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[games]\nas_json = true\n[data.check]\nmax_keys = 0\n[record]\nout = "x"\nminutes = -1\n')
    assert main(["--config", str(config), "games", "doom/aim"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "doom/aim"
    assert main(["games", "doom/aim", "--no-as-json", "--config", str(config)]) == 0
    assert "shoot the monster" in capsys.readouterr().out
    assert main(["record", "--config", str(config), "doom/aim"]) == 2
    assert "Option --minutes must be above 0" in capsys.readouterr().err


def test_numbers_of_scripts_that_make_no_sense_are_refused() -> None:
    assert (count("3"), amount("0.5")) == (3, 0.5)
    for kind, text in ((count, "0"), (count, "-1"), (amount, "0"), (amount, "nan"), (amount, "inf")):
        with pytest.raises(ArgumentTypeError, match=f"it must be .*, not {text}"):
            kind(text)


def test_the_shell_is_told_what_may_come_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def completed(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        assert main(["--complete", "eyehand", "x", "y"]) == 0
        return capsys.readouterr().out.split()

    assert completed("eyehand tr") == ["train"]
    assert completed("eyehand data ch") == ["check"]
    assert completed("eyehand data check --w") == ["--workers", "--where"]
    assert completed("eyehand play --game doom/a") == ["doom/aim", "doom/approach"]
    assert completed("eyehand play --checkpoint p") == ["pocket-doom"]
    assert completed("eyehand --q") == []
