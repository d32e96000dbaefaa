"""The behaviour cloning loss: cross-entropy of a policy's logits against the user's action tokens.

Per head, the mean cross-entropy over the learnt steps and the head's slots, divided by ln(choices) so that every head
counts alike, plus a z-loss that keeps the logits from drifting; the heads are summed with their weights. Source: Open
Pixels2Play (arXiv 2601.04575) and its public code. Knows nothing about networks or data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from eyehand.action_space import Head

__all__ = ["Z_LOSS", "HeadLosses", "behaviour_cloning_loss", "divergence", "split_heads"]

Z_LOSS = 1e-4
"""Weight of the mean squared log-partition (the reference's)."""

_HELD = ("keys", "buttons")
"""The heads of what is held down from one step to the next."""


@dataclass(frozen=True)
class HeadLosses:
    """The loss of a batch.

    Attributes:
        total: scalar with gradient, the objective.
        cross_entropy_H: mean cross-entropy of each head in nats, detached; exp of it is the head's perplexity.
        num_steps: scalar tensor, number of learnt steps.
    """

    total: Tensor
    cross_entropy_H: Tensor
    num_steps: Tensor


def behaviour_cloning_loss(
    logits: Sequence[Tensor],
    target_BTA: Tensor,
    learn_BT: Tensor,
    heads: Sequence[Head],
    head_weights: Mapping[str, float] | None = None,
    edge_weight: float = 1.0,
) -> HeadLosses:
    """The loss of one batch; zero without a learnt step.

    Args:
        logits: one tensor (B, T, slots, choices) per head.
        target_BTA: int64 tokens, the heads' slots side by side.
        learn_BT: bool, the learnt steps (a user's action, not padding).
        heads: the heads of the ActionSpace, in slot order.
        head_weights: of heads in the total, by name; 1 for those that are not named.
        edge_weight: in the total, of a key's or button's slot at the step at which it changes.
    """
    # Weights instead of boolean indexing: the shapes stay fixed and the host need not wait for the device.
    weight_BT = learn_BT.float()
    num_steps = weight_BT.sum()
    is_edge_BTA = torch.zeros_like(target_BTA, dtype=torch.bool)
    is_edge_BTA[:, 1:] = target_BTA.diff(dim=1) != 0
    is_edge_BTA[:, 1:] &= (learn_BT[:, 1:] & learn_BT[:, :-1])[..., None]
    total = torch.zeros((), device=target_BTA.device)
    entropies: list[Tensor] = []
    targets, edges = split_heads(target_BTA, heads), split_heads(is_edge_BTA, heads)
    for head, logits_BTSC, target_BTS, is_edge_BTS in zip(heads, logits, targets, edges, strict=True):
        logits_BTSC = logits_BTSC.float()
        weight_BTS = weight_BT[..., None] / (num_steps.clamp(min=1) * head.num_slots)
        losses = F.cross_entropy(logits_BTSC.flatten(0, 2), target_BTS.flatten(), reduction="none")
        losses_BTS = losses.view(target_BTS.shape) * weight_BTS
        cross_entropy = losses_BTS.sum()
        extra = (edge_weight - 1) * (losses_BTS * is_edge_BTS).sum() if head.name in _HELD and edge_weight != 1 else 0.0
        z_loss = (logits_BTSC.logsumexp(-1).square() * weight_BTS).sum()
        weight = head.weight * (1.0 if head_weights is None else head_weights.get(head.name, 1.0))
        total = total + weight * ((cross_entropy + extra) / math.log(head.num_choices) + Z_LOSS * z_loss)
        entropies.append(cross_entropy.detach())
    return HeadLosses(total, torch.stack(entropies), num_steps)


def divergence(logits: Sequence[Tensor], before: Sequence[Tensor], valid_BT: Tensor | None) -> Tensor:
    """Kullback-Leibler divergence from the distributions `before` to these, nats per step, a scalar.

    Args:
        logits, before: one tensor (B, T, slots, choices) per head.
        valid_BT: bool, False on padding; None: there is none.
    """
    total_BT = torch.zeros(logits[0].shape[:2], device=logits[0].device)
    for ours_BTSC, theirs_BTSC in zip(logits, before, strict=True):
        ours, theirs = ours_BTSC.float().log_softmax(-1), theirs_BTSC.float().log_softmax(-1)
        total_BT = total_BT + (theirs.exp() * (theirs - ours)).sum((-1, -2))
    if valid_BT is None:
        return total_BT.mean()
    return (total_BT * valid_BT).sum() / valid_BT.sum().clamp(min=1)


def split_heads(tokens_BTA: Tensor, heads: Sequence[Head]) -> tuple[Tensor, ...]:
    """Tokens (B, T, A) as one tensor (B, T, slots) per head."""
    return torch.split(tokens_BTA, [head.num_slots for head in heads], dim=-1)
