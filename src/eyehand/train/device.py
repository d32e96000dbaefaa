"""The training device: choice, data types, CUDA streams and page-locked memory.

On a CPU there are no streams, events or pinned memory. Knows nothing about networks or data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from eyehand.errors import UserError

__all__ = ["choose_device", "copy_stream", "has_bfloat16", "limit_queue", "mark", "pin", "tune"]


def choose_device(name: str) -> torch.device:
    """The device of this name: `cpu`, `cuda`, or `auto`.

    Raises:
        UserError: there is no such device here.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("This machine has no usable CUDA GPU: leave out --device, or give --device cpu.")
    return torch.device("cuda", 0) if has_gpu and name != "cpu" else torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively (elsewhere it is slower than float32)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    natively = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return natively is not None and bool(cast(Callable[[], bool], natively)())


def tune(device: torch.device) -> None:
    """Let a GPU use TF32, and cuDNN benchmark its convolutions."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def pin(memory: NDArray[np.uint8]) -> bool:
    """Page-lock memory for asynchronous copies to a GPU. False where the driver refuses."""
    status = torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, memory.nbytes, 0)  # type: ignore[no-untyped-call]
    return int(status) == 0


def copy_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A CUDA stream for copies; None on a CPU."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def mark() -> torch.cuda.Event:
    """An event at this point of the current stream."""
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event


def limit_queue(device: torch.device, previous: torch.cuda.Event | None) -> torch.cuda.Event | None:
    """Keep the host at most one step ahead of a GPU, so that waiting for data and the GPU's work are measured apart."""
    if device.type != "cuda":
        return None
    if previous is not None:
        previous.synchronize()
    return mark()
