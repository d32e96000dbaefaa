"""What a policy's network runs on, as the command line says it. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from eyehand.option_rules import NotWith

__all__ = ["NetworkOptions", "Runtime"]

Runtime = Literal["auto", "torch", "openvino", "openvino-int8", "cuda-graph"]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the network runs on.

    Attributes:
        runtime: what the network runs on: auto, torch, openvino, openvino-int8 or cuda-graph (see docs/timing.md).
        threads: at most so many CPU threads for the network; fewer are taken where more are not quicker.
    """

    runtime: Annotated[Runtime, NotWith("player", "server")] = "auto"
    threads: Annotated[int, NotWith("player", "server")] = 1
