"""Plain lines for the person at the terminal: a command's output on stdout, and what is said beside it on stderr.

All text can hold what others wrote: names in data, titles of windows, errors of other programs, answers of servers. So
every line goes through `shown`, and `console.py` does the same for tables and bars; nothing else prints.

What is said on stderr never raises, comes from any thread, and `said_aside` it waits for nothing either: a terminal
that is gone or stopped (Ctrl-S) must not end or hold up a recording, a training run, or the thread that hears the panic
key.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

__all__ = [
    "announce",
    "be_quiet",
    "clock_time",
    "counted",
    "is_quiet",
    "output",
    "output_json",
    "print_line",
    "said_aside",
    "show_at_bottom",
    "show_what_python_prints",
    "shown",
]

_format_warning = warnings.formatwarning

_MOST = 10_000
"""Characters of a line. More is no line but an attack, or a mistake, that would keep the terminal busy for minutes."""

_quiet = threading.Event()

_JOINERS = "\u200c\u200d"


def shown(text: object) -> str:
    r"""One line that a terminal shows and does not obey: whatever steers it is written as Python writes it ("\x1b").

    That is all of Unicode's control characters (C0 with line feed and tab, C1), its format characters (among them those
    that change the direction of writing) but for the two joiners that scripts need, line separators, surrogates, and
    what is not assigned. A line of more than 10,000 characters is cut.
    """
    line = str(text)
    if len(line) > _MOST:
        line = f"{line[:_MOST]} ... and {len(line) - _MOST:,} characters more"
    return line if line.isprintable() else "".join(map(_shown, line))


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 recording", "2,000 recordings". The plural is the noun with an s if none is given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def clock_time(seconds: float) -> str:
    """A duration as clocks show it: "0:07", "12:05", "1:02:09"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def output(line: object) -> None:
    """A line of a command's output, on stdout."""
    print(shown(line), flush=True)


def output_json(value: object) -> None:
    """A command's output for programs, on stdout: ASCII, so that nothing in it steers a terminal."""
    print(json.dumps(value, indent=1))


def announce(text: str) -> None:
    """One sentence of ours, on stderr. A bell at its beginning rings."""
    bell = "\a" * text.startswith("\a")
    _say(bell + shown(f"eyehand: {text.removeprefix(bell)}"))


def print_line(line: object) -> None:
    """A line as it is, on stderr, that somebody who wants quiet does without."""
    if not _quiet.is_set():
        _say(shown(line))


def be_quiet() -> None:
    """From now on no progress and no lines about how the work goes: only output, errors and warnings."""
    _quiet.set()


def is_quiet() -> bool:
    """Whether `be_quiet` was called."""
    return _quiet.is_set()


_bottom = ""
_writing = threading.RLock()
_ERASE_LINE = "\r\x1b[K"


def show_at_bottom(text: str) -> None:
    """Have this as the last line of the terminal, rewritten in place and cut to its width; empty: none any more.

    What else is said on stderr meanwhile comes above it.
    """
    global _bottom
    with contextlib.suppress(OSError, ValueError), _writing:
        line = shown(text)
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        while line and _cells(line) > width:
            line = line[:-1]
        before, _bottom = _bottom, line
        if line != before:
            print(_ERASE_LINE + line, end="", file=sys.stderr, flush=True)


def _cells(line: str) -> int:
    """Columns that a line takes."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in line)


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr is closed, or whoever read it has gone
        if not _bottom:
            print(line, file=sys.stderr, flush=True)
            return
        with _writing:
            bell = "\a" * line.startswith("\a")
            print(f"{bell}{_ERASE_LINE}{line.removeprefix(bell)}\n{_bottom}", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def said_aside(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """What hands sentences to `say` on a thread of its own, and returns at once; at the end of the context what was not
    said within a second stays unsaid."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def work() -> None:
        while (text := waiting.get()) is not None:
            say(text)

    thread = threading.Thread(target=work, name="eyehand announcer", daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join(1.0)


class _ShownFormatter(logging.Formatter):
    """Log lines: a line for the message, further ones for the traceback of an error."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _shown_lines(super().formatException(ei))


def show_what_python_prints() -> None:
    """From now on tracebacks, warnings and logs of libraries, all of which quote what they stumbled over, are shown."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_traceback
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_traceback_of_thread
    sys.unraisablehook = _unraisable
    warnings.formatwarning = _formatted_warning
    log = logging.StreamHandler()
    log.setFormatter(_ShownFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[log])


def _print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if kind is not KeyboardInterrupt:  # `main` answers to it
        _say(_shown_lines("".join(traceback.format_exception(kind, error, trace)).removesuffix("\n")))


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    """Of exceptions that have nowhere to go. Ctrl-C that comes while FFmpeg reads from a file of ours comes again."""
    if told.exc_type is KeyboardInterrupt:
        # From a thread and a little later: here, and where FFmpeg still reads, it would be swallowed again.
        again = threading.Timer(0.01, _interrupt)
        again.daemon = True
        again.start()
    else:
        _print_traceback(told.exc_type, told.exc_value, told.exc_traceback)


def _interrupt() -> None:
    """Ctrl-C once more."""
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)  # also ends a wait
    else:
        _thread.interrupt_main()


def _print_traceback_of_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_type is not SystemExit:
        _print_traceback(told.exc_type, told.exc_value, told.exc_traceback)


def _formatted_warning(*told: Any, **options: Any) -> str:
    return _shown_lines(_format_warning(*told, **options))


def _shown_lines(text: str) -> str:
    return "\n".join(map(shown, text.split("\n")))
