"""A policy small enough for tests, with every option of the configuration in use."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig

TINY = PolicyConfig(
    frame_size=32,
    history_steps=4,
    width=32,
    num_layers=2,
    num_q_heads=4,
    num_kv_heads=2,
    ffn_hidden=48,
    text_dim=256,
    vision="pocket",
    vision_widths=(8, 8, 16, 8),
    decoder_layers=2,
    decoder_q_heads=2,
    decoder_kv_heads=1,
    decoder_ffn_hidden=32,
    dropout=0.0,
    text_encoder="wordllama",
)
RICH = replace(TINY, layer_history=(2, 4), num_sinks=2, num_text_tokens=2, num_image_tokens=2, num_thinking_tokens=3)
BLIND = replace(TINY, action_lag=0)
SLOW = replace(RICH, action_lag=3)
INDEPENDENT = replace(TINY, decoder="independent", num_sinks=1)
INDEPENDENT_SLOW = replace(INDEPENDENT, action_lag=2)
FUSED = replace(INDEPENDENT, num_thinking_tokens=0, action_lag=0, is_step_fused=True)
KINDS = {"reference": TINY, "rich": RICH, "blind": BLIND, "slow": SLOW}
KINDS |= {"independent": INDEPENDENT, "independent slow": INDEPENDENT_SLOW, "fused": FUSED}
"""Every kind of step and decoder."""


def tiny_policy(config: PolicyConfig = TINY, seed: int = 0) -> Policy:
    """A policy in evaluation mode whose BatchNorms have statistics of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = Policy(config).eval()
        for name, buffer in policy.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return policy


def random_clip(config: PolicyConfig, batch: int, steps: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames, text (step 1 without any), executed and target tokens."""
    generator = torch.Generator().manual_seed(seed)
    size = config.frame_size
    frames = torch.randint(0, 256, (batch, steps, 3, size, size), dtype=torch.uint8, generator=generator)
    text = torch.randn(batch, steps, config.num_text_tokens, config.text_dim, generator=generator) / 16
    text[:, 1:2] = 0
    executed, target = (
        torch.stack(
            [
                torch.randint(0, head.num_choices, (batch, steps), generator=generator)
                for head in config.space.heads
                for _ in range(head.num_slots)
            ],
            dim=-1,
        )
        for _ in range(2)
    )
    return frames, text, executed, target
