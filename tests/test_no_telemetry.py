"""Every command, traced in a network without a way out: nothing is sent anywhere, and nothing is left in HOME."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from doom_lmp import commands, freedoom, lmp
from eyehand.desktop.profile import profile_names
from programs import need, need_game, need_xcb
from reference_file import write_reference

TESTS = Path(__file__).parent

CASES = {
    "games": "games",
    "games list": "games list",
    "games show": "games show chocolate-doom",
    "record": "record --game doom/aim --episodes 2 --noise-injection 1 --out OUT/data",
    "inspect": "inspect OUT/data --html OUT/page.html",
    "data index": "data index OUT/data --out OUT/index.parquet",
    "data check": "data check OUT/index.parquet --policy pocket-doom --clips 1",
    "data list": "data list OUT/index.parquet",
    "data edit": "data edit OUT/data/* --note quiet --out OUT/edited",
    "data review": "data review OUT/index.parquet --again --html OUT/review.html",
    "data gap": "data gap OUT/data --clips 1 --crf 18 --chroma 420",
    "data features": "data features OUT/data --trunk pocket-doom --workers 1",
    "data reencode": "data reencode OUT/index.parquet --out OUT/small",
    "data push": "data push OUT/data OUT/pushed",
    "data pull": "data pull OUT/pushed OUT/pulled",
    "export": "export lerobot OUT/data --out OUT/lerobot",
    "import lerobot": "import lerobot OUT/lerobot --out OUT/from-lerobot",
    "import vpt": "import vpt OUT/damaged --out OUT/from-vpt",
    "import owa": "import owa OUT/damaged --out OUT/from-owa",
    "import csgo": "import csgo OUT/damaged --out OUT/from-csgo",
    "import doom-demos": "import doom-demos OUT/demo.lmp --iwad IWAD --out OUT/from-demo",
    "train": "train --data OUT/data --out OUT/run --steps 1 --batch-size 2",
    "improve": "improve --checkpoint OUT/run/policy --game doom/aim --out OUT/better --rounds 1 --starts 1 --tries 2 "
    "--dagger --minutes 0.01 --validation 1 --workers 1",
    "checkpoint info": "checkpoint info OUT/run/policy",
    "checkpoint import": "checkpoint import OUT/policy.ckpt OUT/imported",
    "checkpoint export": "checkpoint export OUT/imported",
    "checkpoint verify": "checkpoint verify OUT/imported --reference OUT/wrong.npz",
    "evaluate": "evaluate --game doom/aim --checkpoint OUT/run/policy --episodes 1 --workers 1 --json OUT/scores.json",
    "play": "play --game doom/aim --seconds 2 --view on --out OUT/play",
    "play, a desktop game": "play --game chocolate-doom --own-screen 640x480 --seconds 2 --out OUT/desktop",
    "last": "last OUT/play --no-open",
    "play-with": "play-with --game chocolate-doom --size 640x480 --seconds 2 --out OUT/together",
    "view": "view --no-open",
    "serve": "serve --socket OUT/socket",
    "doctor": "doctor",
    "bench": "bench live --ticks 5",
    "demo": "demo --games doom/aim --seconds 1 --out OUT/demo",
    # The last: pygame changes the environment, and later games would show windows of another name.
    "play, Gymnasium": "play --game gym/CarRacing-v3 --player random --seconds 1 --out OUT/gym",
}

ENDS_WITH = {"import vpt": 2, "import owa": 2, "import csgo": 2, "checkpoint verify": 2, "view": 2, "serve": 143}
"""Statuses of commands that find nothing to do (damaged files, no play to watch), and of the one that a signal ends."""


def traced(command: list[str], folder: Path, **environment: str) -> dict[str, list[str]]:
    """Run a command in a network of its own; returns whom it tried to reach, by the mark before, or skips the test."""
    namespace = [need("unshare"), "--net"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        namespace.append("--map-root-user")
    tracer = [need("strace"), "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    if subprocess.run([*namespace, *tracer, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network of one's own and tracing in it are forbidden here")
    trace, home = folder / "trace", folder / "home"
    home.mkdir()
    (folder / "run").mkdir(mode=0o700)
    environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(folder / "run")}  # nobody else's plays
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [*namespace, *tracer, "-o", str(trace), *command],
        env={**kept, **environment, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    found: dict[str, list[str]] = {"": []}
    for line in trace.read_text().splitlines():
        if mark := re.search(r'sun_path="/eyehand (.*?)"', line):
            found[mark.group(1)] = []
        elif "AF_INET" in line:
            (address,) = re.findall(r'inet_(?:addr\(|pton\(AF_INET6, )"(.*?)"', line)[:1]
            is_here = address.removeprefix("::ffff:").startswith("127.") or address == "::1"
            if not is_here or "htons(53)" in line:  # a name server on this machine asks others
                found[[*found][-1]].append(line)
    return found


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[str]], dict[str, list]]:
    """Every command has run."""
    need_xcb()
    need("Xvfb")
    need("dsda-doom")
    need_game("chocolate-doom")
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "damaged").mkdir()
    for name in ("a.mp4", "a.jsonl", "a.mcap", "a.hdf5"):
        (folder / "damaged" / name).write_bytes(b"nothing")
    (folder / "demo.lmp").write_bytes(lmp([commands(70, {10: (25, 0, 0, 0)})]))
    write_reference(folder)
    np.savez(folder / "wrong.npz", nothing=np.zeros(1))
    return traced_commands(CASES, folder)


def traced_commands(lines: dict[str, str], folder: Path) -> tuple[dict[str, list[str]], dict[str, list]]:
    """Run these commands one after the other: whom each tried to reach, and its status and what it left in HOME."""
    places = {"OUT": str(folder), "IWAD": str(freedoom(1))}
    cases = [(name, re.sub("OUT|IWAD", lambda found: places[found[0]], line).split()) for name, line in lines.items()]
    (folder / "cases.json").write_text(json.dumps(cases))
    driver = [sys.executable, str(TESTS / "traced_commands.py"), str(folder / "cases.json"), str(folder / "results")]
    reached = traced(driver, folder, PYTHONPATH=os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return reached, json.loads((folder / "results").read_text())


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("case", CASES)
def test_a_command_reaches_nobody_and_leaves_nothing_in_home(case: str, everything) -> None:
    reached, results = everything
    assert reached[case] == []
    assert results[case] == [ENDS_WITH.get(case, 0), []]


@pytest.mark.slow
def test_nobody_is_reached_before_or_after(everything) -> None:
    reached, _ = everything
    assert reached[""] == reached["the end"] == []


@pytest.mark.slow
@pytest.mark.parametrize("game", profile_names())
def test_a_desktop_game_reaches_nobody(game: str, tmp_path: Path) -> None:
    need_xcb()
    need("Xvfb")
    need_game(game)
    line = f"play --game {game} --own-screen 640x480 --player random --seconds 3 --out OUT/play"
    reached, results = traced_commands({game: line}, tmp_path)
    assert (reached[game], results[game]) == ([], [0, []])


def test_every_command_is_among_them() -> None:
    pages = "".join(path.read_text() for path in (TESTS.parent / "docs" / "commands").glob("*.md"))
    names = re.findall(r"^#+ eyehand (.+)$", pages, re.MULTILINE)
    leaves = {name for name in names if not any(other.startswith(f"{name} ") for other in names)}
    assert leaves <= set(CASES)


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('example.org', 80))",
        "socket.create_connection(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2001:db8::1', 80))",
    ],
)
def test_the_trace_shows_whoever_tries(code: str, tmp_path: Path) -> None:
    tries = f"import contextlib, socket\nwith contextlib.suppress(OSError): {code}"
    assert traced([sys.executable, "-c", tries], tmp_path)[""]


def test_openvino_reaches_nobody(tmp_path: Path) -> None:
    assert not any(traced([sys.executable, "-c", "import eyehand, openvino"], tmp_path).values())
    assert not any((tmp_path / "home").iterdir())
