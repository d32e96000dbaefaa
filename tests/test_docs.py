"""README and docs/ say what is true: links lead somewhere, command lines can be typed, generated pages are fresh,
examples run, and the layers of docs/architecture.md are those of the imports."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import tyro

from eyehand.cli import RENAMED, module_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "eyehand"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^( *)```.*?^\1```$|^(?:    [^\n]*\n)+", re.DOTALL | re.MULTILINE)


def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if "://" in link or link == "modules/index.md":  # the latter is made while the site is built
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), f"{link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    for path in re.findall(r"`((?:src|tests|benchmarks|docs|runs|tools)/[\w./-]+)`", page.read_text()):
        assert (ROOT / path).exists(), f"{path} is not there"


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `eyehand ...` line of a block of code, continued lines joined, with the page that holds it."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            for line in block[0].replace("\\\n", " ").splitlines():
                if re.match(r"(\$ )?eyehand [a-z]", line.strip()):
                    yield page.name, line.strip().removeprefix("$ ")


@pytest.mark.parametrize(("page", "line"), [*command_lines()])
def test_command_lines_can_be_typed(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    options = importlib.import_module(module_of(name)).Options
    assert not RENAMED.keys() & set(arguments)
    tyro.cli(options, args=[word for word in arguments if word != "&"], config=(tyro.conf.OmitArgPrefixes,))


def test_options_that_are_named_are_there() -> None:
    """In running text. What is no option of a command is one of a benchmark, or of pip, TensorBoard or a game."""
    folders = (ROOT / "docs" / "commands", ROOT / "benchmarks")
    sources = [ROOT / "src" / "eyehand" / "cli.py", *(path for folder in folders for path in folder.glob("*.*"))]
    known = {word for path in sources for word in re.findall(r"--[a-z][a-z-]*", path.read_text())}
    for page in PAGES:
        named = re.findall(r"`(--[a-z][a-z-]*)", BLOCK.sub("", page.read_text()))
        assert set(named) <= known | {"--extra-index-url"}, page.name


def test_the_command_pages_are_those_of_the_command_line() -> None:
    pages = generate().command_pages()
    written = {page.stem: page.read_text() for page in (ROOT / "docs" / "commands").glob("*.md")}
    assert written == pages, "run `python docs/generate.py`"
    for name, text in pages.items():
        without = re.findall(r"^ [-A-Z\[](?:\S| (?! ))*(?: {2,}|\n {4,})\((?:default|required).*$", text, re.MULTILINE)
        assert not without, f"{name}: options without help"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_module_says_what_it_is() -> None:
    assert not [name for name, text in generate().modules().items() if not text]


def test_imports_run_one_way_through_the_layers_of_the_documentation() -> None:
    """A line of the table imports from itself and the lines above it, modules of the root that it lacks from the first;
    every package has a line of its own."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    layers = re.findall(r"^\| [^|]+ \| (`[^|]+) \|$", text[: text.index("## The packages")], re.MULTILINE)
    layer_of = {name.removesuffix(".py"): i for i, line in enumerate(layers) for name in re.findall("`([^`]+)`", line)}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= layer_of.keys()
    assert packages <= set(re.findall(r"^\| `(\w+)` \|", text[text.index("## The packages") :], re.MULTILINE))
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own.startswith("__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eyehand."):
                assert node.module is not None
                other = node.module.split(".")[1]
                assert layer_of.get(other, 0) <= layer_of.get(own, 0), f"{path} imports {node.module}"


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_games_page_run(number: int, tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    pytest.importorskip("gymnasium")
    codes = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "games.md").read_text(), re.DOTALL)
    assert len(codes) == 3
    done = subprocess.run(
        [sys.executable, "-c", codes[number]], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
