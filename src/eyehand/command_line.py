"""From words on the command line to a command's options, by tyro; what is wrong with them is said in one sentence.

    eyehand train data/me --out run       a bare word goes where a command has one obvious option: --data
    eyehand train --config my.toml ...    what is not given is taken from the file's section [train]

Knows the command's `Options` dataclass and nothing of what the command does.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tyro

from eyehand.errors import UserError, unreadable
from eyehand.option_rules import flag
from eyehand.terminal import shown

__all__ = ["BARE", "Given", "option_names", "parse"]

BARE = {
    "demo": "--games",
    "doctor": "--game",
    "evaluate": "--checkpoint",
    "improve": "--checkpoint",
    "play": "--game",
    "play-with": "--game",
    "record": "--game",
    "serve": "--checkpoint",
    "train": "--data",
}
"""The option of a command that a bare word at the beginning stands for."""

_CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)


@dataclass(frozen=True)
class Given:
    """What was written behind `eyehand`.

    Attributes:
        command: its name.
        kind: its dataclass of options.
        words: what follows.
    """

    command: str
    kind: type
    words: tuple[str, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """The command and its sub-command, if one was given."""
        word = self.words[0] if self.words else ""
        return (self.command, word) if word in _sub_commands(self.kind) else (self.command,)

    @property
    def names(self) -> list[str]:
        """All options of this command, as they are written."""
        subs = _sub_commands(self.kind)
        return option_names(subs[self.path[1]] if len(self.path) > 1 else self.kind)

    @property
    def with_bare_words(self) -> Given:
        """With the option that bare words at the beginning stand for."""
        num = next((at for at, word in enumerate(self.words) if word.startswith("-")), len(self.words))
        option = BARE.get(self.command)
        if not num or option is None or any(word.split("=")[0] == option for word in self.words):
            return self
        return Given(self.command, self.kind, (option, *self.words))

    def with_defaults_of(self, config: Path) -> Given:
        """With the options of a TOML file that were not given: those of its section [COMMAND] or [COMMAND.ACTION].

        Raises:
            UserError: the file cannot be read, or names an option that this command does not have.
        """
        try:
            section: Any = tomllib.loads(config.read_text(encoding="utf-8"))
        except OSError as error:
            raise unreadable(config, error) from error
        except ValueError as error:
            raise UserError(
                f"{config} is no TOML file ({error}): write [train], then lines such as lr = 1e-4."
            ) from None
        for word in self.path:
            section = section.get(word, {})
            if not isinstance(section, dict):
                raise UserError(f"{config}: {word} is a section: write [{'.'.join(self.path)}] above its options.")
        added: list[str] = []
        written = {word.split("=")[0].replace("--no-", "--") for word in self.words}
        for name, value in section.items():
            option = flag(name)
            if isinstance(value, dict) and name in _sub_commands(self.kind):
                continue
            if option not in self.names:
                raise UserError(f"{config}: {_no_such(option, self)}")
            if option not in written:
                added += _words(option, value)
        return Given(self.command, self.kind, (*self.words, *added))

    def completions(self, before: str) -> list[str]:
        """What may come next, behind the word `before`."""
        if before in ("--game", "--games") or (before in ("show", "check") and self.command == "games"):
            from eyehand.games.families import game_names

            return game_names(None, must_step=False)
        if before in ("--checkpoint", "--init-from", "info"):
            return [each.name for each in (resources.files("eyehand") / "checkpoints").iterdir() if each.is_dir()]
        return [*(_sub_commands(self.kind) if len(self.path) == 1 else ()), *self.names]


def parse(given: Given, description: str) -> Any:
    """The options of a command.

    Raises:
        UserError: a word is wrong or missing.
        SystemExit: help was asked for and given, or tyro has said by itself what is wrong.
    """
    given = given.with_bare_words

    def read() -> Any:
        return tyro.cli(
            given.kind,
            prog=f"eyehand {given.command}",
            description=description,
            args=list(given.words),
            config=_CONFIG,
        )

    try:
        from tyro._errors import on_parse_error
    except ImportError:  # tyro keeps this to itself; without it, it says in its own words what is wrong
        return read()

    def explain(event: object) -> None:
        try:
            sentence = _sentence(event, given)
        except (AttributeError, LookupError, TypeError):
            return
        if sentence is not None:
            raise UserError(shown(sentence))

    with on_parse_error(explain):
        return read()


def option_names(kind: type) -> list[str]:
    """Every option of a dataclass and of the groups in it, as it is written; not what is given by position."""
    names: list[str] = []
    for field, hint in _fields(kind):
        if is_dataclass(hint):
            names += option_names(typing.cast(type, hint))
        elif "Positional" not in repr(getattr(hint, "__metadata__", ())) and not _choices_of(hint):
            names += [flag(field), *([flag(f"no_{field}")] if hint is bool else ())]
    return names


def _fields(kind: type) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [(field.name, hints[field.name]) for field in fields(kind)]


def _sub_commands(kind: type) -> dict[str, type]:
    """The sub-commands of a command whose options are a choice between several dataclasses."""
    return {name: choice for _, hint in _fields(kind) for name, choice in _choices_of(hint).items()}


def _choices_of(hint: Any) -> dict[str, type]:
    """The dataclasses that a type is a choice between, by the names that tyro gives them."""
    found: dict[str, type] = {}
    for each in typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else ():
        about = [one for one in getattr(each, "__metadata__", ()) if hasattr(one, "prefix_name")]
        plain = typing.get_args(each)[0] if hasattr(each, "__metadata__") else each
        if is_dataclass(plain):
            name = about[0].name if about and about[0].name else typing.cast(type, plain).__name__.lower()
            found[name] = typing.cast(type, plain)
    return found


def _words(option: str, value: object) -> list[str]:
    """An option of a file as words of a command line."""
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, Mapping):
        return [option, *(str(each) for pair in value.items() for each in pair)]
    return [option, *map(str, value if isinstance(value, list) else [value])]


def _sentence(event: Any, given: Given) -> str | None:
    """What is wrong and what to do, by what tyro found; None for what it may find in another version."""
    command = f"eyehand {' '.join(given.path)}"
    subs = _sub_commands(given.kind)
    if subs and len(given.path) == 1 and given.words and not given.words[0].startswith("-"):
        near = difflib.get_close_matches(given.words[0], subs, 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(subs)}."
        return f"{command} has nothing that is called {given.words[0]!r}: {advice}"
    for word in given.words:
        option = word.split("=")[0].replace("_", "-")
        if option.startswith("--") and option not in (*given.names, "--help"):
            return _no_such(option, given)
    match type(event).__name__:
        case "UnrecognizedArgs":
            bare = BARE.get(given.command)
            is_free = bare is not None and bare not in given.words
            advice = f"write {bare} before it" if is_free else "write the option that it belongs to before it"
            return f"{command} does not know what {event.tokens[0]!r} is for: {advice}."
        case "MissingArgs":
            missing = [f"{_named(each.arg)} {_metavar(each.arg)}".strip() for each in event.missing_arguments]
            return f"{command} needs {' and '.join(missing)}: write that too; `{command} --help` explains it."
        case "MissingSubcommand":
            return f"Say what to do: {command} {' | '.join(_sub_commands(given.kind))}."
        case "BadValue":
            form = f"{_named(event.argument)} {_metavar(event.argument)}".strip()
            return f"{command} needs {form}: a value is missing."
        case "InvalidChoice":
            choices = sorted({*event.choices} - {"None"}, key=lambda each: (len(each), each))
            what = f"Option {_named(event.argument)}" if _named(event.argument) else f"The argument of {command}"
            return f"{what} cannot be {event.value!r}: choose one of {', '.join(choices)}."
        case "InstantiationFailure" if event.argument is not None:
            kind = _metavar(event.argument)
            what = {"INT": "a whole number", "FLOAT": "a number"}.get(kind, f"of the form {kind}")
            wrong = [word for word in given.words if word in event.message]
            return f"Option {_named(event.argument)} must be {what}, not {wrong[-1] if wrong else 'that'}."
    return None


def _no_such(option: str, given: Given) -> str:
    command = f"eyehand {' '.join(given.path)}"
    near = difflib.get_close_matches(option.removeprefix("--"), [name.removeprefix("--") for name in given.names], 1)
    advice = f"did you mean --{near[0]}?" if near else f"`{command} --help` lists them."
    return f"{command} has no option {option}: {advice}"


def _named(argument: Any) -> str:
    """An option as it is written; of what is given by position nothing, as its form stands for it."""
    return "" if argument.is_positional() else str(argument.lowered.name_or_flags[-1])


def _metavar(argument: Any) -> str:
    """The form of a value, without that it may be missing."""
    return str(argument.lowered.metavar).replace("{None}|", "").replace("None,", "")
