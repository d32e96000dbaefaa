"""Pages that nobody writes by hand. `python docs/generate.py` writes docs/commands/, one page per command, from the
command line itself; a test fails when they are stale. The pages of modules are made from docstrings while the site is
built, into docs/modules/, and are not committed.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
from pathlib import Path
from unittest import mock

from eyehand.cli import COMMANDS, main

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "src" / "eyehand"


def command_pages() -> dict[str, str]:
    """The text of every page by the command's name."""
    return {name: _command_page(name) for name in COMMANDS}


def _command_page(name: str) -> str:
    parts = [f"# eyehand {name}", COMMANDS[name]]
    text = _help([name])
    for words in ([name], *([name, action] for action in _actions(text))):
        parts += [f"## eyehand {' '.join(words)}"] if len(words) > 1 else []
        parts += [f"```text\n{_help(words)}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(words: list[str]) -> str:
    """What `eyehand WORDS --help` prints, without the frames around its parts."""
    out = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS="88"), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    lines = [re.sub(r"^[│╭╰]?[ ─]?(.*?)[ ─]*[│╮╯]?$", r"\1", line) for line in out.getvalue().splitlines()]
    return "\n".join(line for line in lines if not line.startswith("---")).strip()


def _actions(text: str) -> list[str]:
    return re.findall(r"^ *• (\S+)", text, re.MULTILINE)


def modules() -> dict[str, str]:
    """The first paragraph of every module's docstring by the module's name; a package is the module that it is."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.name.endswith("_pb2.py"):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            found[name] = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].replace("\n", " ")
    return dict(sorted(found.items()))


def write_module_pages(folder: Path = DOCS / "modules") -> None:
    """A page per package with its modules' documentation, and index.md, the list of all modules."""
    folder.mkdir(exist_ok=True)
    texts = modules()
    pages: dict[str, list[str]] = {}
    for name in texts:
        is_package = any(other.startswith(f"{name}.") for other in texts)
        pages.setdefault(name if is_package else name.rpartition(".")[0], []).append(name)
    index = [
        "# Modules",
        "Made from the first paragraph of every docstring. [How they fit together](../architecture.md).",
    ]
    for page, names in pages.items():
        rest = [name for name in names if name not in (page, "eyehand.__main__")]
        automodules = [f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n" for name in rest]
        head = f"{page}\n{'=' * len(page)}\n\n.. automodule:: {page}\n   :no-members:\n"
        (folder / f"{page}.rst").write_text("\n".join([head, *automodules]))
        index += [f"## [{page}]({page}.rst)", texts[page], "\n".join(f"- `{name}`: {texts[name]}" for name in rest)]
    toctree = "\n".join(("```{toctree}", ":hidden:", "", *pages, "```"))
    (folder / "index.md").write_text("\n\n".join((*index, toctree)) + "\n")


if __name__ == "__main__":
    folder = DOCS / "commands"
    folder.mkdir(exist_ok=True)
    for name, text in command_pages().items():
        (folder / f"{name}.md").write_text(text)
