"""What is published: wheel and sdist hold exactly the files of the repository that they should, and the wheel works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import eyehand
from programs import need

ROOT = Path(__file__).parents[1]
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
EGG_INFO = {"PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt", "requires.txt", "top_level.txt"}
BESIDE_SRC = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}

pytestmark = [pytest.mark.slow, pytest.mark.needs("git")]


def run(*command: str | Path, cwd: Path) -> str:
    """A program's output. It knows nothing of the checkout that the tests run in."""
    hidden = {"PYTHONPATH", "DISPLAY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """The files under src/ that the repository holds."""
    need("git")
    return {path for path in run("git", "ls-files", cwd=ROOT).splitlines() if path.startswith("src/")}


@pytest.fixture(scope="module")
def built(sources: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist, made from a copy of what the repository holds: an sdist, and a wheel out of it."""
    copy = tmp_path_factory.mktemp("copy")
    for path in {*sources, *(BESIDE_SRC - {"PKG-INFO", "setup.cfg"})}:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    return copy / "dist"


def test_the_sdist_holds_the_source_and_nothing_else(built: Path, sources: set[str]) -> None:
    top = f"eyehand-{eyehand.__version__}"
    with tarfile.open(built / f"{top}.tar.gz") as sdist:
        files = {member.name.removeprefix(f"{top}/") for member in sdist if member.isfile()}
    assert files == sources | BESIDE_SRC | {f"src/eyehand.egg-info/{name}" for name in EGG_INFO}


def test_the_wheel_holds_the_source_and_nothing_else(built: Path, sources: set[str]) -> None:
    information = f"eyehand-{eyehand.__version__}.dist-info"
    with zipfile.ZipFile(built / f"eyehand-{eyehand.__version__}-py3-none-any.whl") as wheel:
        files = set(wheel.namelist())
        metadata = HeaderParser().parsestr(wheel.read(f"{information}/METADATA").decode())
    assert files == {path.removeprefix("src/") for path in sources} | {f"{information}/{name}" for name in METADATA}
    assert metadata["Version"] == eyehand.__version__
    assert metadata["Author"] == "eyehand contributors"
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("Project-URL")


@pytest.mark.needs("Xvfb")
def test_the_wheel_works_outside_the_repository(built: Path, tmp_path: Path) -> None:
    """In a virtual environment that has eyehand from the wheel, and everything else from the one of these tests."""
    pytest.importorskip("vizdoom")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    binaries = tmp_path / "venv" / "bin"
    (wheel,) = built.glob("*.whl")
    run(binaries / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(binaries / "python", "-c", where, cwd=tmp_path).strip())
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib"))
    empty = tmp_path / "empty"
    empty.mkdir()
    home = run(binaries / "python", "-c", "import eyehand; print(eyehand.__file__)", cwd=empty).strip()
    assert Path(home) == packages / "eyehand" / "__init__.py"
    assert run(binaries / "eyehand", "--version", cwd=empty) == f"eyehand {eyehand.__version__}\n"
    run(binaries / "eyehand", "demo", "--seconds", "1", cwd=empty)
    assert (empty / "demo").is_dir()
    assert "FAIL" not in run(binaries / "eyehand", "doctor", cwd=empty)
