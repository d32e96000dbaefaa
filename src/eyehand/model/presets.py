"""Named policy configurations: Python functions that return a PolicyConfig, and nothing else.

`pocket` and `medium` are ours, for a CPU; the `p2p_*` have the sizes of the reference's released models
(arXiv 2601.04575, table of sizes).
"""

from __future__ import annotations

from collections.abc import Callable

from eyehand.errors import UserError
from eyehand.model.policy_config import PolicyConfig, ffn_hidden_of

__all__ = ["PRESETS", "medium", "p2p_150m", "p2p_300m", "p2p_600m", "p2p_1200m", "pocket", "preset"]


def pocket() -> PolicyConfig:
    """9M parameters, 9.6 s of history, one token a step, no past actions, every key decoded by itself: for a CPU."""
    return PolicyConfig(
        decoder="independent",
        action_lag=0,
        is_step_fused=True,
        num_thinking_tokens=0,
        history_steps=192,
        width=384,
        num_layers=4,
        num_q_heads=6,
        num_kv_heads=6,
        ffn_hidden=1024,
        text_dim=256,
        vision="pocket",
        vision_widths=(24, 48, 96, 32),
        dropout=0.0,
        text_encoder="wordllama",
    )


def medium() -> PolicyConfig:
    """33M parameters, 10 layers of 512, 3.2 s of history: between `pocket` and the reference, decoding as it does."""
    return PolicyConfig(
        history_steps=64,
        width=512,
        num_layers=10,
        num_q_heads=8,
        num_kv_heads=2,
        ffn_hidden=ffn_hidden_of(512),
        text_dim=256,
        vision="pocket",
        vision_widths=(24, 48, 96, 32),
        decoder_layers=2,
        decoder_q_heads=8,
        decoder_kv_heads=2,
        decoder_ffn_hidden=ffn_hidden_of(512),
        decoder_sinks=1,
        dropout=0.0,
        text_encoder="wordllama",
    )


def _p2p(num_layers: int, width: int) -> PolicyConfig:
    hidden = ffn_hidden_of(width)
    return PolicyConfig(num_layers=num_layers, width=width, ffn_hidden=hidden, decoder_ffn_hidden=hidden)


def p2p_150m() -> PolicyConfig:
    """The reference's 150M."""
    return _p2p(num_layers=10, width=1024)


def p2p_300m() -> PolicyConfig:
    """The reference's 300M."""
    return _p2p(num_layers=20, width=1024)


def p2p_600m() -> PolicyConfig:
    """The reference's 600M."""
    return _p2p(num_layers=9, width=2048)


def p2p_1200m() -> PolicyConfig:
    """The reference's 1200M."""
    return _p2p(num_layers=22, width=2048)


PRESETS: dict[str, Callable[[], PolicyConfig]] = {
    "pocket": pocket,
    "medium": medium,
    "p2p-150m": p2p_150m,
    "p2p-300m": p2p_300m,
    "p2p-600m": p2p_600m,
    "p2p-1200m": p2p_1200m,
}


def preset(name: str) -> PolicyConfig:
    """The configuration of this name.

    Raises:
        UserError: there is none.
    """
    if name not in PRESETS:
        raise UserError(f"Unknown preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]()
