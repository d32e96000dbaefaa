"""Fixtures: servers that end with their test, and a tiny policy of random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from serving import Running, Serve

from eyehand.checkpoint import Checkpoint
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.player import Player
from eyehand.players.policy import PolicyPlayer
from eyehand.serve.connection import ClientLimits
from eyehand.wire.address import Address

CONFIG = replace(
    preset("medium"), history_steps=4, frame_size=32, width=32, num_layers=2, ffn_hidden=32, vision_widths=(8, 8, 8, 8)
)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A policy limits the threads of whoever lets it act; the next test gets them back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server: `serve(new_player, token=..., tcp=..., instruction=..., limits...)`; it ends with the test."""
    with ExitStack() as stack:

        def start(
            new_player: Callable[[], Player],
            *,
            token: str | None = None,
            tcp: bool = False,
            instruction: str | None = None,
            **limits: float,
        ) -> Running:
            address = Address(host="127.0.0.1") if tcp else Address(path=tmp_path / "s")
            running = Running(
                new_player, address, token, replace(ClientLimits(messages_per_s=1e9), **limits), instruction
            )
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """Random weights, decided enough for what it sees to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = Policy(CONFIG).eval()
        with torch.no_grad():
            for head in policy.heads:
                head.weight.mul_(10)
            policy.image_encoder.linear.weight.mul_(100)
    return Checkpoint(policy, "tiny")


@pytest.fixture(scope="session")
def model(checkpoint: Checkpoint) -> PolicyPlayer:
    """The tiny policy as a player. Its siblings are what a server hands out; they must not act at the same time."""
    return PolicyPlayer(checkpoint)
