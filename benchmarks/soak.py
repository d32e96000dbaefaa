"""Everything at once for an hour, with accidents: `python benchmarks/soak.py [--minutes 60] [--out out/soak]`

    serving     `eyehand serve` and 8 clients that come, ask 4 times a second and go; some leave half a message behind
    playing     one `eyehand play` in a window, recorded, from which a scripted person takes over again and again
    killed play another one, killed with SIGKILL while it holds keys: alone, its process group, or with its watchdog
    recording   `eyehand record` with two workers, killed with SIGKILL
    training    one run undisturbed, then the same run again and again, killed and resumed until it is done

Prints a table: memory of what lives for the whole time (the median of the first and the last fifth, and the slope of a
straight line after the first fifth), keys that stayed down, recordings that were lost, resumed runs that differ from
the undisturbed one, processes that were left behind. OUT/memory.csv has the samples. Ends with 1 if something was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the person, the window and the data are the tests'

import numpy as np
import psutil
from serving import serving

import moving_block
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.keys import key_codes
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.machine import MachineWatch, cpu_name, num_cores
from eyehand.option_rules import amount
from eyehand.player import Observation
from eyehand.players.remote import RemotePlayer
from eyehand.recording.reader import Recording
from eyehand.train.log import read_log
from eyehand.wire.address import Address
from x_person import Person
from x_window import Window, buttons_down, keys_down

NUM_CLIENTS = 8
STEPS = 60
SAMPLE_S = 10.0
PATIENCE_S = 30.0
"""What has not happened by then does not happen: the machine may be busy."""

MARK = "EYEHAND_SOAK"
"""The environment variable by which every process of this run is known, whoever its parent is."""


class Soak:
    """What the activities share: the end, what they count, and what went wrong."""

    def __init__(self, minutes: float, out: Path) -> None:
        self.out = out
        self.work = out / "work"
        self.end_s = time.monotonic() + 60 * minutes
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.lost_s: list[float] = []
        self.roots: dict[str, int] = {"persons, clients": os.getpid()}
        self.environment = {**os.environ, MARK: str(os.getpid())}

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.end_s

    def fault(self, kind: str, sentence: str) -> None:
        """Something that may not happen."""
        self.counts[kind] += 1
        line = f"{datetime.now():%H:%M:%S} {kind}: {sentence}"
        self.faults.append(line)
        print(line, file=sys.stderr, flush=True)

    def start(self, *arguments: object, log: str, screen: OwnScreen | None = None) -> subprocess.Popen[bytes]:
        """Start a command of eyehand in a process group of its own; what it says goes into a file of OUT."""
        command = [sys.executable, "-m", "eyehand", *map(str, arguments)]
        environment = self.environment if screen is None else {**self.environment, **screen.environment}
        with (self.out / f"{log}.log").open("ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, env=environment, process_group=0)


def soon(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether the condition holds before patience ends."""
    deadline_s = time.monotonic() + patience_s
    while not (holds := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return holds


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not heed it."""
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether all of them end within our patience."""
    return not psutil.wait_procs(processes, PATIENCE_S)[1]


def check_recordings(soak: Soak, folder: Path, killed_s: float | None, is_live: bool) -> None:
    """Look at every recording of a folder: all must open; of a live one at most its last seconds are missing.

    Args:
        killed_s: unix time at which its writer was killed; None: it was not.
        is_live: recorded in real time, so that its frames tell when it ended.
    """
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        age_s = (killed_s or time.time()) - path.stat().st_mtime
        try:
            with Recording.open(path) as recording:
                soak.counts["recordings"] += 1
                soak.counts["frames"] += recording.num_frames
                if killed_s is None:
                    if recording.is_cut_off:
                        soak.fault("lost recordings", f"{path.name} is cut off, and nobody was killed")
                elif is_live and recording.num_frames:
                    lost_s = age_s - float(recording.times_ns[-1] - recording.times_ns[0]) / 1e9
                    soak.lost_s.append(lost_s)
                    if lost_s > 5:
                        soak.fault("lost recordings", f"{path.name} lacks its last {lost_s:.1f} s")
        except UserError as error:
            if killed_s is None or "cut off within the first second" not in str(error):
                soak.fault("lost recordings", str(error))


def serve(soak: Soak, address: Address, seed: int) -> None:
    """A client after the other."""
    dice = random.Random(seed)
    pictures = np.random.default_rng(seed).integers(0, 256, (4, 240, 320, 3), dtype=np.uint8)
    while not soak.is_over:
        try:
            client = RemotePlayer(address, silence_s=PATIENCE_S, dead_after_s=PATIENCE_S)
            client.connect(4 * PATIENCE_S)
            with closing(client):
                client.reset(dice.randrange(1000))
                for tick in range(dice.randrange(40, 400)):
                    client.act(Observation(Frame(pictures[tick % 4], time.monotonic_ns(), tick)))
                    if soak.is_over:
                        break
                    time.sleep(0.25)
                soak.counts["answers"] += tick + 1 - client.num_unanswered
                if client.num_unanswered:
                    soak.fault("unanswered", f"{client.num_unanswered} pictures of a client")
        except UserError as error:
            soak.fault("unanswered", str(error))
        soak.counts["clients"] += 1
        if dice.random() < 0.3:  # one that dies in the middle of a message
            with socket.socket(socket.AF_UNIX) as half, suppress(OSError):
                half.connect(str(address))
                half.sendall(struct.pack("<I", 8 << 20) + bytes(4 << 20))


def take_over(soak: Soak, screen: OwnScreen) -> None:
    """One play for the whole time, and a person who takes over."""
    dice = random.Random(1)
    folder = soak.work / "play"
    with ExitStack() as stack:
        window = stack.enter_context(closing(Window(screen, "soak", size=(640, 480))))
        window.focus()
        display = stack.enter_context(closing(XDisplay.open(screen.name, screen.authority)))
        person = stack.enter_context(closing(Person(screen)))
        codes = key_codes(display)
        play = soak.start(
            *("play", "--window", "soak", "--checkpoint", "pocket-doom", "--seconds", 86400, "--view", "off"),
            *("--no-video", "--out", folder, "--record", folder / "recorded"),
            log="play",
            screen=screen,
        )
        soak.roots["live play"] = play.pid
        soon(lambda: bool(keys_down(display) or buttons_down(display)), 4 * PATIENCE_S)
        while not soak.is_over and play.poll() is None:
            key = dice.choice("wasd")
            person.press(key)
            if not soon(lambda: not keys_down(display) - {codes[key]} and not buttons_down(display)):  # noqa: B023
                soak.fault("stuck keys", f"{keys_down(display)} {buttons_down(display)} beside the person's")
            soak.counts["keys taken from the person"] += not keys_down(display)
            window.fill(dice.randrange(1 << 24), 0, 0, 640, dice.randrange(1, 480))
            time.sleep(dice.uniform(0.2, 1.5))
            person.release(key)
            if not soon(lambda: not keys_down(display) and not buttons_down(display)):
                soak.fault("stuck keys", f"{keys_down(display)} {buttons_down(display)} after a takeover")
            soak.counts["takeovers"] += 1
            person.press("RightAlt")
            person.tap("Home")
            person.release("RightAlt")
            for _ in range(dice.randrange(1, 40)):
                window.fill(dice.randrange(1 << 24), dice.randrange(600), 0, 40, 480)
                window.events()
                time.sleep(0.2)
        person.tap("F12")  # the panic key
        with suppress(subprocess.TimeoutExpired):
            play.wait(4 * PATIENCE_S)
        if play.returncode not in (130, 143):  # 143 where Ctrl-C is ignored, as in the background of a script
            soak.fault("ended plays", f"status {play.returncode}: see play.log")
        end(play)
        if not soon(lambda: not keys_down(display) and not buttons_down(display)):
            soak.fault("stuck keys", "at the end of play")
    check_recordings(soak, folder / "recorded", None, True)


def kill_plays(soak: Soak, screen: OwnScreen) -> None:
    """Plays that are killed while they hold something."""
    dice = random.Random(2)
    with ExitStack() as stack:
        window = stack.enter_context(closing(Window(screen, "victim", size=(320, 240))))
        window.focus()
        display = stack.enter_context(closing(XDisplay.open(screen.name, screen.authority)))
        while not soak.is_over:
            folder = soak.work / "killed"
            play = soak.start(
                *("play", "--window", "victim", "--player", "random", "--seconds", 600, "--view", "off"),
                *("--no-takeover", "--no-video", "--out", folder, "--record", folder / "recorded"),
                log="killed",
                screen=screen,
            )
            if not soon(lambda: bool(keys_down(display)), 4 * PATIENCE_S):
                soak.fault("ended plays", f"status {play.poll()}: see killed.log")
            time.sleep(dice.uniform(2, 20))
            soon(lambda: bool(keys_down(display)))
            soak.counts["plays killed"] += 1
            soak.counts["plays killed with keys held"] += bool(keys_down(display))
            with_it = family(play.pid)
            killed_s = time.time()
            way = dice.choice(["process", "group", "watchdog"])
            if way == "watchdog":  # stopped first, or it would see that its watchdog is gone, and let go
                play.send_signal(signal.SIGSTOP)
                for process in with_it[1:]:
                    if process.ppid() == play.pid and "eyehand.desktop.x11.watchdog" in process.cmdline():
                        process.kill()
            os.killpg(play.pid, signal.SIGKILL) if way == "group" else play.kill()
            play.wait()
            if not soon(lambda: not keys_down(display) and not buttons_down(display)):
                soak.fault("stuck keys", f"after a kill of the {way}")
            if not gone(with_it[1:]):
                soak.fault("processes left", f"after a kill of the {way} of a play")
            if folder.exists():
                check_recordings(soak, folder / "recorded", killed_s, True)
            shutil.rmtree(folder, ignore_errors=True)
            window.events()


def record(soak: Soak) -> None:
    """Recordings by workers whose parent is killed."""
    dice = random.Random(3)
    while not soak.is_over:
        folder = soak.work / "recorded"
        games = "doom/center,doom/corridor,doom/approach"
        recorder = soak.start(
            *("record", "--game", games, "--minutes", 30, "--workers", 2, "--out", folder), log="record"
        )
        soon(lambda: folder.is_dir() and len(list(folder.iterdir())) > 1, 4 * PATIENCE_S)  # noqa: B023
        time.sleep(dice.uniform(0, 20))
        with_it, killed_s = family(recorder.pid), time.time()
        recorder.kill()
        recorder.wait()
        soak.counts["recorders killed"] += 1
        if not gone(with_it[1:]):
            soak.fault("processes left", "after a kill of a recorder")
        check_recordings(soak, folder, killed_s, False)
        shutil.rmtree(folder, ignore_errors=True)


def train(soak: Soak) -> None:
    """The same run, undisturbed and with accidents."""
    dice = random.Random(4)
    data = soak.work / "data"
    for seed in range(4):
        moving_block.record(data, seed=seed, num_frames=120)

    def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
        return soak.start(
            *("train", "--data", data, "--out", out, "--steps", STEPS, "--batch-size", 2, "--clip-steps", 8),
            *("--checkpoint-every", 5, "--log-every", 1, "--eval-every", 20, "--workers", 1, *more),
            log="train",
        )

    def result(out: Path) -> tuple[object, ...]:
        losses = [(record["kind"], record["step"], record["loss"]) for record in read_log(out) if "loss" in record]
        return *losses, hashlib.sha256((out / "policy" / "weights.safetensors").read_bytes()).hexdigest()

    start(soak.work / "reference").wait()
    wanted = result(soak.work / "reference")
    while not soak.is_over:
        out, more = soak.work / "resumed", ()
        while not soak.is_over:
            run = start(out, *more)
            begun_at, num_more = len(read_log(out)), dice.randrange(30)
            soon(lambda: run.poll() is not None or len(read_log(out)) >= begun_at + num_more, 4 * PATIENCE_S)  # noqa: B023
            with suppress(subprocess.TimeoutExpired):
                run.wait(dice.uniform(0, 1))
            if run.poll() is None:
                with_it = family(run.pid)
                run.send_signal(dice.choice([signal.SIGKILL] * 4 + [signal.SIGTERM]))
                run.wait()
                soak.counts["trainings killed"] += 1
                if not gone(with_it[1:]):
                    soak.fault("processes left", "after a kill of a training")
            if not (out / "training_state.pt").exists():  # before its first checkpoint
                shutil.rmtree(out, ignore_errors=True)
                more = ()
            elif run.returncode == 0 and read_log(out)[-1]["step"] == STEPS and (out / "policy").exists():
                soak.counts["runs resumed to their end"] += 1
                if result(out) != wanted:
                    first = next(
                        (at for at, pair in enumerate(zip(result(out), wanted, strict=False)) if len({*pair}) > 1), -1
                    )
                    soak.fault("runs that differ", f"from entry {first} of {len(wanted)} on; the last is the policy")
                break
            else:
                if run.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGTERM):
                    soak.fault("ended trainings", f"status {run.returncode}: see train.log")
                more = ("--resume",)
        shutil.rmtree(out, ignore_errors=True)


def watch_memory(soak: Soak) -> Iterator[tuple[float, str, float]]:
    """Now and then: minutes since the beginning, who, and megabytes that it and its descendants alone have."""
    begin_s = time.monotonic()
    while not soak.is_over:
        others = {pid for name, pid in soak.roots.items() if pid != os.getpid()}
        for name, pid in list(soak.roots.items()):
            # What is started here and there has rows of its own, or does not live for long.
            processes = family(pid)[:1] if pid == os.getpid() else family(pid)
            total = 0.0
            for process in processes:
                with suppress(psutil.Error):
                    total += process.memory_full_info().uss / 1e6
            if total and (pid in others or pid == os.getpid()):
                yield (time.monotonic() - begin_s) / 60, name, total
        time.sleep(SAMPLE_S)


def guarded(soak: Soak, activity: Callable[..., None], *arguments: object) -> None:
    """An activity that fails is a fault, and the others go on."""
    try:
        activity(soak, *arguments)
    except Exception as error:
        soak.fault("faults of the soak", f"{activity.__name__}: {error!r}")


def main() -> int:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=amount, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("out/soak"))
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    (options.out / "work").mkdir(parents=True)
    soak = Soak(options.minutes, options.out)
    os.environ[MARK] = str(os.getpid())  # for what `serving` starts
    begun = datetime.now()
    watch = MachineWatch(period_s=10.0)
    samples: list[tuple[float, str, float]] = []
    with ExitStack() as stack:
        guard = stack.enter_context(closing(Guard()))
        first, second = (stack.enter_context(closing(OwnScreen((640, 480), guard))) for _ in range(2))
        address = stack.enter_context(serving("pocket-doom", "auto", 1))
        soak.roots["server"] = next(child.pid for child in psutil.Process().children() if "serve" in child.cmdline())
        activities: list[tuple[Callable[..., None], tuple[object, ...]]] = [
            *((serve, (address, seed)) for seed in range(NUM_CLIENTS)),
            *((take_over, (first,)), (kill_plays, (second,)), (record, ()), (train, ())),
        ]
        threads = [threading.Thread(target=guarded, args=(soak, each, *more)) for each, more in activities]
        for thread in threads:
            thread.start()
        with (options.out / "memory.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("minutes", "who", "mb"))
            for sample in watch_memory(soak):
                samples.append(sample)
                table.writerow(sample)
                file.flush()
                watch.poll()
        for thread in threads:
            thread.join()
        watch.poll(is_last=True)
    left = [process for process in psutil.process_iter() if process.pid != os.getpid() and is_ours(process)]
    if left and not gone(left):
        soak.fault("processes left", str([process.cmdline() for process in left if process.is_running()]))
    shutil.rmtree(soak.work, ignore_errors=True)
    steal = [window.steal for window in watch.windows] or [0.0]
    print(f"{begun:%Y-%m-%d %H:%M}, {options.minutes:g} minutes, {cpu_name()}, {num_cores()} cores; ", end="")
    print(f"steal {statistics.fmean(steal):.0%} (most in ten seconds {max(steal):.0%})")
    print_memory(samples, options.minutes)
    for name in ("clients", "answers", "takeovers", "plays killed", "plays killed with keys held", "recorders killed"):
        print(f"| {name} | {soak.counts[name]:,} |")
    for name in ("keys taken from the person", "recordings", "frames", "trainings killed", "runs resumed to their end"):
        print(f"| {name} | {soak.counts[name]:,} |")
    if soak.lost_s:
        print(
            f"| seconds missing of a killed recording, median and most | {statistics.median(soak.lost_s):.1f}, ", end=""
        )
        print(f"{max(soak.lost_s):.1f} |")
    for name in ("stuck keys", "lost recordings", "runs that differ", "unanswered", "processes left"):
        print(f"| **{name}** | {soak.counts[name]} |")
    (options.out / "soak.json").write_text(json.dumps({**soak.counts, "faults": soak.faults}, indent=1))
    for line in soak.faults:
        print(line)
    return 1 if soak.faults else 0


def is_ours(process: psutil.Process) -> bool:
    """Whether this run has started it, however many processes lie between."""
    with suppress(psutil.Error):
        return process.environ().get(MARK) == str(os.getpid()) and process.status() != psutil.STATUS_ZOMBIE
    return False


def print_memory(samples: Sequence[tuple[float, str, float]], minutes: float) -> None:
    """Rows of a table: memory of whoever lived for the whole time."""
    print("| memory of | first fifth, MB | last fifth, MB | slope, MB/h |\n|---|---|---|---|")
    for name in dict.fromkeys(name for _, name, _ in samples):
        at = np.array([(minute, mb) for minute, who, mb in samples if who == name])
        first, last = at[at[:, 0] < minutes / 5, 1], at[at[:, 0] > minutes * 4 / 5, 1]
        settled = at[at[:, 0] >= minutes / 5]
        slope = 60 * np.polyfit(*settled.T, 1)[0] if len(settled) > 2 else float("nan")
        middle = [f"{np.median(part):.0f}" if len(part) else "-" for part in (first, last)]
        print(f"| {name} | {middle[0]} | {middle[1]} | {slope:+.1f} |")
    print("\n| | |\n|---|---|")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
