"""The rolling key/value cache: `RollingCache` says where a tick's keys lie and which of them each token sees."""

from __future__ import annotations

import torch
from torch import Tensor

from eyehand.model.block import rope_at, rope_frequencies
from eyehand.model.policy_config import PolicyConfig

__all__ = ["POSITION_PERIOD", "RollingCache"]

POSITION_PERIOD = 72_000
"""Steps after which rotary positions start again at 0 (the reference's: one hour at 20 Hz)."""


class RollingCache:
    """Where a tick's keys lie and who sees them.

    Unit t (of T + 1) holds [A of step t - 1 | S of step t]: one contiguous range per tick. O, if there is one, is
    written behind it, where the next tick's A or S will be, onto a step that has just left the window; only O itself
    sees it there.
    """

    def __init__(self, config: PolicyConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.num_seen, self.num_outs = config.num_seen_tokens, config.num_out_tokens
        self.num_actions = config.num_action_tokens
        self.unit = self.num_actions + self.num_seen
        self.num_new = self.unit + self.num_outs
        self.num_units = config.history_steps + 1
        self.length = self.num_units * self.unit + self.num_outs
        self.group = config.num_q_heads // config.num_kv_heads
        age_UK = self._ages()
        self.age_UK = age_UK.to(device)
        self.mask_UQK = {
            history: self._mask(age_UK, history).to(device, dtype)
            for history in {config.history_of(layer) for layer in range(config.num_layers)}
        }
        is_action_Q = torch.arange(self.num_new) < self.num_actions
        self.is_action_Q = is_action_Q.long().to(device)
        self.is_action_Q1 = is_action_Q.repeat(self.group)[:, None].to(device)
        # The place of each new token within its step: A behind S and O.
        self.token_Q = ((torch.arange(self.num_new) + self.num_seen + self.num_outs) % self.num_new).to(device)
        self.index_Q = torch.arange(self.num_new, device=device)
        self.frequency_F = rope_frequencies(config.width // config.num_q_heads, device)

    def place(self, tick: int) -> int:
        """Where this tick's tokens are written."""
        return (tick % self.num_units) * self.unit

    def places(self, tick_1: Tensor) -> Tensor:
        """Where each of them is written, (Q,), for a tick that only the device knows."""
        return (tick_1 % self.num_units) * self.unit + self.index_Q

    def rope(self, tick: int, starts: list[int]) -> Tensor:
        """Rotary positions of this tick's tokens, counted from each episode's beginning: (2, B or 1, Q, F)."""
        if min(starts) == max(starts):
            starts = starts[:1]
        return self.rope_since(torch.tensor([tick - start for start in starts], device=self.device)[:, None])

    def rope_since(self, since_B1: Tensor) -> Tensor:
        """The same, given the ticks since each episode's beginning."""
        step_BQ = (since_B1 - self.is_action_Q) % POSITION_PERIOD
        position_BQ = step_BQ * self.config.num_step_tokens + self.token_Q
        table_2NF = rope_at(position_BQ.flatten(), self.frequency_F)
        return table_2NF.view(2, *position_BQ.shape, -1)

    def masks(self, tick: int, starts: list[int]) -> dict[int, Tensor]:
        """The additive mask per history limit, (B or 1, 1, group x Q, sinks + K)."""
        unit = tick % self.num_units
        masks = {history: mask_UQK[unit][None, None] for history, mask_UQK in self.mask_UQK.items()}
        if tick - max(starts) >= self.num_units:
            return masks
        since_B11 = torch.tensor([tick - start for start in starts], device=self.device)[:, None, None]
        older_BQK = ~self._is_recent(self.age_UK[unit], since_B11)
        return {history: mask.masked_fill(older_BQK[:, None], float("-inf")) for history, mask in masks.items()}

    def masks_at(self, tick_1: Tensor, since_1: Tensor) -> dict[int, Tensor]:
        """The same (1, 1, group x Q, sinks + K) for one episode, of which only the device knows tick and beginning."""
        unit_1 = tick_1 % self.num_units
        older_QK = ~self._is_recent(self.age_UK.index_select(0, unit_1), since_1)
        return {
            history: mask_UQK.index_select(0, unit_1).masked_fill(older_QK, float("-inf"))[None]
            for history, mask_UQK in self.mask_UQK.items()
        }

    def _is_recent(self, age_K: Tensor, since_B11: Tensor) -> Tensor:
        """Whether a key belongs to the episode. An A always sees its own step, so that even the row before an episode,
        which nobody reads, stays finite."""
        return (age_K <= since_B11) | (self.is_action_Q1 & (age_K == 1))

    def _ages(self) -> Tensor:
        """How many steps ago the key at each place was made, for each unit being written; 0 for sinks and O."""
        unit_U1, place_K = torch.arange(self.num_units)[:, None], torch.arange(self.num_units * self.unit)
        age_UK = (unit_U1 - place_K // self.unit) % self.num_units
        age_UK = age_UK + (place_K % self.unit < self.num_actions).long()
        age_UK = torch.cat((torch.zeros(self.num_units, self.config.num_sinks).long(), age_UK), dim=1)
        age_UK = torch.cat((age_UK, torch.zeros(self.num_units, self.num_outs).long()), dim=1)
        if self.num_outs:
            unit_U = torch.arange(self.num_units)
            age_UK[unit_U, self.config.num_sinks + (unit_U + 1) * self.unit] = 0
        return age_UK

    def _mask(self, age_UK: Tensor, history: int) -> Tensor:
        """Who sees which place, additive (U, group x Q, sinks + K), for each unit being written."""
        num_sinks = self.config.num_sinks
        is_action_K = torch.arange(self.length) % self.unit < self.num_actions
        is_action_Q1 = (torch.arange(self.num_new) < self.num_actions)[:, None]
        delta_UQK = age_UK[:, None, num_sinks:] - is_action_Q1.long()
        allowed_UQK = (delta_UQK > 0) & (delta_UQK <= history) & ((delta_UQK >= self.config.action_lag) | ~is_action_K)
        allowed_UQK |= (delta_UQK == 0) & (is_action_Q1 | ~is_action_K)
        if self.num_outs:
            unit_U = torch.arange(self.num_units)
            allowed_UQK[:, :, -1] = False
            allowed_UQK[unit_U, :, (unit_U + 1) * self.unit] = False
            allowed_UQK[unit_U, -1, (unit_U + 1) * self.unit] = True
        sinks = torch.ones(self.num_units, self.num_new, num_sinks, dtype=torch.bool)
        allowed_UQK = torch.cat((sinks, allowed_UQK), dim=-1).repeat(1, self.group, 1)
        return torch.zeros(allowed_UQK.shape).masked_fill_(~allowed_UQK, float("-inf"))
