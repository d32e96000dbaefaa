"""The README's file map is true: every file has its line, and every line its file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _map() -> dict[str, str]:
    """Path to description, from the README's section "File map"."""
    section = (ROOT / "README.md").read_text().split("## File map", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^- `([^`]+)`: (.+)$", section, flags=re.MULTILINE))


def _files() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    mapped = ("src/eyehand/", "benchmarks/", "docs/", "runs/")
    hidden = (".svg", ".png", ".webp", ".json", ".safetensors", "_pb2.py", "_pb2.pyi", "py.typed")
    return {
        path
        for path in listed
        if path.startswith(mapped) and not path.endswith(hidden) and not path.endswith("__init__.py")
    }


def test_every_file_has_a_line_and_every_line_a_file() -> None:
    described = _map()
    assert set(described) == _files()
    assert all(len(text) > 10 for text in described.values())


def test_links_and_pictures_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert not missing
