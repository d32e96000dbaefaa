"""The command line: find the command, parse its options, call it, turn what happens into an exit status.

    0  done
    1  a fault of ours (with a traceback)
    2  something that the user can fix (with one sentence)
    130  Ctrl-C (143: SIGTERM, 129: the terminal was closed), after everything was released and closed
    141  nobody reads the output any more

A command's module is imported when it is called, so that `eyehand --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import keyword
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import FrameType

from eyehand.errors import UserError
from eyehand.replaced import check_writable
from eyehand.terminal import announce, be_quiet, show_what_python_prints, shown
from eyehand.version import __version__

__all__ = ["COMMANDS", "RENAMED", "WRITTEN", "exit_status", "main", "module_of"]

COMMANDS: dict[str, str] = {
    "games": "List the games and what there is to do in them.",
    "record": "Record yourself at a desktop game, or a player at Doom.",
    "inspect": "Check recordings: counts, rates, keys, mouse, problems.",
    "data": "Index, list and check recordings at any scale.",
    "import": "Make recordings of other formats: VPT, OWA, CS:GO, LeRobot, Doom demos.",
    "export": "Write recordings in other formats: LeRobot.",
    "train": "Train a policy on recordings.",
    "improve": "Let a policy learn from the better episodes of its own play.",
    "play": "Let a player play live, with a report and a video.",
    "play-with": "Play a game together with the agent, each on a screen of their own.",
    "view": "Watch, and take over, live play in the browser.",
    "last": "Open the newest report of play, training or evaluation.",
    "evaluate": "Measure a policy by playing, beside random and demonstrator.",
    "checkpoint": "Show, import, export and verify checkpoints.",
    "serve": "Play for clients on a socket, as Open P2P's model server does.",
    "doctor": "Check display, input and a desktop game: is it working?",
    "bench": "Measure how fast a policy acts here, and what speed costs.",
    "demo": "Watch the bundled agent play three Doom tasks.",
}

RENAMED = {
    "--taught": "--dagger",
    "--pupil-share": "--learner-share",
    "--perturb": "--noise-injection",
    "--hand-back-key": "--resume-key",
    "--vision-weights": "--trunk p2p:FILE --train-trunk",
}

WRITTEN = ("out", "json", "html", "record")
"""What options are called, of every command, that name a file or a folder to write; paths of other names are read."""

_MAY_BE_EMPTY = ("--instruction", "--note")
"""The options whose text may be empty: no instruction, no note."""

_ADVICE = {
    errno.ENOSPC: "make space and run the command again",
    errno.EDQUOT: "make space and run the command again",
    errno.EROFS: "choose another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "allow more open files (`ulimit -n 1024`) and run the command again",
    errno.ENFILE: "end other programs, which have too many files open, and run the command again",
}
"""What the user can do about an error of the system, wherever it happens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _run(argv))


def exit_status(do: Callable[[], int | None]) -> int:
    """Do what a command, or a script of ours, does; what the user can fix is said in a sentence. None: 0."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    show_what_python_prints()
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]  # Windows has no SIGHUP
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # `nohup eyehand ...` goes on
            signal.signal(number, _on_signal)
    try:
        try:
            return do() or 0
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # at exit nobody could answer to what comes of it
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        announce("stopped.")
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`eyehand ... | head`); nothing may be written to it at exit either.
        _forget_output()
        return 141
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # rich says it so
            return 141
        raise
    except MemoryError:
        return _fail("This takes more memory than there is: give it less at once (data, --batch-size, --workers).")
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _forget_output()
        what = "" if error.filename is None else f" at {os.fsdecode(error.filename)}"
        return _fail(f"This machine refuses to go on{what} ({error.strerror}): {_ADVICE[error.errno]}.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"eyehand {__version__}")
        return 0
    if "--quiet" in argv:
        be_quiet()
        argv = [word for word in argv if word != "--quiet"]
    if argv[:1] == ["--complete"]:
        return _complete(os.environ.get("COMP_LINE", ""))
    if argv[:1] == ["--completion"]:
        print('complete -o default -C "eyehand --complete" eyehand')
        return 0
    argv, config = _config_of(argv)
    if not argv:
        raise UserError("Say what to do: eyehand COMMAND; `eyehand --help` lists the commands.")
    name, options = argv[0], argv[1:]
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, 1)
        advice = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"Unknown command {name!r}: {advice}There are {', '.join(COMMANDS)}.")
    from eyehand.command_line import Given, parse
    from eyehand.option_rules import check_options

    for option in options:
        old = option.split("=")[0].replace("_", "-").replace("--no-", "--")
        if old in RENAMED:
            raise UserError(f"The option {old} is now called {RENAMED[old]}: write that instead.")
    _check_empty(name, options)
    command = importlib.import_module(module_of(name))
    given = Given(name, command.Options, tuple(options))
    if config is not None:
        given = given.with_defaults_of(Path(config))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # it quotes options, and `eyehand inspect *` hands it names of files
            parsed = parse(given, COMMANDS[name])
    finally:
        for line in said.getvalue().removesuffix("\n").split("\n") if said.getvalue() else ():
            print(shown(line), file=sys.stderr)
    check_options(parsed, options)
    _check_values(parsed)
    status: int = command.run(parsed)
    return status


def _config_of(argv: list[str]) -> tuple[list[str], str | None]:
    """The words without `--config FILE`, and the file. One command has an option of this name of its own."""
    if "--config" not in argv or argv[:2] == ["checkpoint", "import"]:
        return argv, None
    at = argv.index("--config")
    if at + 1 == len(argv):
        raise UserError("--config needs a value: write --config FILE.TOML.")
    return argv[:at] + argv[at + 2 :], argv[at + 1]


def _complete(line: str) -> int:
    """Print what the last word of a command line may be: a command, a sub-command, an option, a game, a checkpoint."""
    words = line.split()[1:]
    last = "" if line.endswith(" ") or not words else words.pop()
    found: list[str] = list(COMMANDS)
    if words and words[0] in COMMANDS:
        from eyehand.command_line import Given

        given = Given(words[0], importlib.import_module(module_of(words[0])).Options, tuple(words[1:]))
        found = given.completions(words[-1])
    print("\n".join(word for word in found if word.startswith(last)))
    return 0


def _check_empty(command: str, options: list[str]) -> None:
    """Refuse an empty argument, as a variable of the shell that is unset makes it: Path("") is the current folder."""
    for before, option in pairwise([f"eyehand {command}", *options]):
        if before not in _MAY_BE_EMPTY and re.fullmatch(f"|(?!{'|'.join(_MAY_BE_EMPTY)})--[\\w-]+=", option):
            raise UserError(f"The argument behind {option or before} is empty: is a variable of the shell unset?")


def _check_values(options: object) -> None:
    """Refuse, before any work, what Python reads as a number and no option can be (nan, inf, a seed below 0), and a
    place where what comes of the work cannot be written."""
    for name, value in vars(options).items():
        if name == "seed" and value < 0:
            raise UserError(f"Option --seed must be 0 or more, not {value}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"Option --{name.replace('_', '-')} cannot be {value}: give a number.")
        if name in WRITTEN and isinstance(value, Path):
            check_writable(value, as_file=name in ("json", "html"))
        if hasattr(value, "__dataclass_fields__"):
            _check_values(value)


def module_of(name: str) -> str:
    """The module of a command: names that Python cannot have are spelt so that it can."""
    return "eyehand.commands." + (f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_"))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        (
            "usage: eyehand COMMAND [OPTIONS]",
            "",
            "Teach an agent to play a game by watching a person play it.",
            "",
            *lines,
            "",
            "`eyehand COMMAND --help` shows a command's options. Every command takes --quiet",
            "(no progress) and --config FILE.toml (options from its section [COMMAND]).",
            'For completion in bash: eval "$(eyehand --completion)".',
        )
    )


def _fail(sentence: str) -> int:
    announce(sentence)
    return 2


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _on_signal(signum: int, frame: FrameType | None) -> None:
    """Leave through the same doors as any other exit, so that keys are released and files closed."""
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
