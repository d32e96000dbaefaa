"""Step-by-step inference: one picture in, one action's tokens out, with a static key/value cache.

Each tick runs ONE backbone pass over [A of the previous step | S of this step | O of this step]: what was really
executed goes in together with the next picture. The cache is a ring of T + 1 steps that is never copied or grown. The
action decoder then draws the tokens one after another. Equals `Policy.forward` over the same history (tested), also
after the ring has rolled. Several episodes can run in one batch, each begun at its own time.

Knows no resizing, no sentences, no clock. Shapes: B episodes, A action slots, D width; Q new tokens of a tick, K places
of the ring, U its units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eyehand.model.block import rope_at, rope_frequencies, rope_table
from eyehand.model.config import PolicyConfig
from eyehand.model.packed import PackedBlock, packed_weight
from eyehand.model.policy import Policy
from eyehand.model.sampling import draw
from eyehand.model.stages import StagedEngine
from eyehand.model.vision import packed

__all__ = ["POSITION_PERIOD", "LivePolicy", "LiveState", "Ring", "Tokens"]

POSITION_PERIOD = 72_000
"""Steps after which rotary positions start again at 0 (the reference's: one hour at 20 Hz)."""


@dataclass
class LiveState:
    """The memory of B episodes that step together. Made by `LivePolicy.new_state`.

    Attributes:
        backbone: keys and values of each backbone layer's ring (`PackedBlock.new_cache`).
        decoder: keys and values of each decoder layer, for the tick at hand.
        starts: the tick at which each episode began; it sees nothing older.
        tick: steps taken since the state was made or reset as a whole.
    """

    backbone: list[Tensor]
    decoder: list[Tensor]
    starts: list[int]
    tick: int = 0

    def reset(self, index: int | None = None) -> None:
        """Begin a new episode at this index of the batch, or everywhere. The others do not notice."""
        if index is None or len(self.starts) == 1:
            self.starts = [0] * len(self.starts)
            self.tick = 0
        else:
            self.starts[index] = self.tick

    def fill(self, config: PolicyConfig) -> None:
        """As if a full history had passed, for measuring: what lies in the caches counts as seen."""
        self.tick = self.starts[0] + 2 * config.history_steps

    def fork(self) -> LiveState:
        """An independent copy."""
        backbone, decoder = ([cache.clone() for cache in caches] for caches in (self.backbone, self.decoder))
        return LiveState(backbone, decoder, list(self.starts), self.tick)


class LivePolicy(StagedEngine):
    """A Policy prepared for stepping: BatchNorm folded, weights packed, masks made beforehand.

    Takes a snapshot of the weights; training the Policy further does not change it.

    Args:
        policy: the network.
        device: where to run.
        dtype: of weights and cache; float32 gives the numbers of `Policy.forward`.
    """

    def __init__(self, policy: Policy, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.config, self.space = policy.config, policy.space
        self.device, self.dtype = torch.device(device), dtype
        self._encoder = packed(policy.image_encoder, self.device, dtype)
        self._backbone = [PackedBlock(layer, self.device, dtype) for layer in policy.backbone.blocks()]
        self._decoder = [PackedBlock(layer, self.device, dtype) for layer in policy.decoder.blocks()]
        self._tokens = Tokens(policy, self.device, dtype)
        self._ring = Ring(self.config, self.device, dtype)
        slots = torch.arange(self.space.num_slots, device=self.device)
        table = rope_table(slots, self.config.width // self.config.decoder_q_heads)
        self._decoder_rope = [self._decoder[0].rope(table[:, None, slot, None]) for slot in range(len(slots))]

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for `batch` episodes."""
        return LiveState(
            [block.new_cache(batch, self._ring.length) for block in self._backbone],
            [block.new_cache(batch, self.space.num_slots) for block in self._decoder],
            [0] * batch,
        )

    @torch.inference_mode()
    def embed_text(self, text_BND: Tensor) -> Tensor:
        """Text tokens of embedded instructions (zeros: none), to be kept while the instruction stays."""
        return self._tokens.text(text_BND.to(self.device, torch.float32))

    @torch.inference_mode()
    def see(self, frames_BCHW: Tensor) -> Tensor:
        """Image tokens of uint8 RGB pictures."""
        image_BKD: Tensor = self._encoder(frames_BCHW.to(self.device))
        return image_BKD

    @torch.inference_mode()
    def think(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor:
        """Advance by one step; the backbone's output at the action_out token, (B, D).

        Args:
            state: changed in place.
            image_BKD: from `see`.
            text_BND: from `embed_text`.
            previous_BA: tokens of what was executed since the last step; of no effect at an episode's first.
        """
        ring, tick, batch = self._ring, state.tick, len(state.starts)
        x_BQD = self._tokens.step(previous_BA.to(self.device), text_BND, image_BKD)
        rope_BQHF = self._backbone[0].rope(ring.rope(tick, state.starts))
        masks, place = ring.masks(tick, state.starts), ring.place(tick)
        x_ND = x_BQD.flatten(0, 1)
        for layer, (block, cache) in enumerate(zip(self._backbone, state.backbone, strict=True)):
            mask = masks[self.config.history_of(layer)]
            x_ND = block.step(x_ND, rope_BQHF, cache, place, ring.length, mask)
        state.tick += 1
        return x_ND.view(batch, ring.num_new, -1)[:, -1]

    @torch.inference_mode()
    def decide(
        self, state: LiveState, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """Draw the action tokens one after another, (B, A) int64 on the device.

        Args:
            state: lends its decoder cache.
            out_BD: from `think`.
            uniforms_BA: in [0, 1), one per slot.
            temperature, top_p: see `sampling.draw`.
        """
        uniforms_BA = uniforms_BA.to(self.device)
        x_BD = self._tokens.decoder_input(out_BD)
        drawn: list[Tensor] = []
        for slot in range(self.space.num_slots):
            for block, cache in zip(self._decoder, state.decoder, strict=True):
                x_BD = block.step(x_BD, self._decoder_rope[slot], cache, slot, slot + 1, None)
            ids_B = draw(self._tokens.logits(slot, x_BD), uniforms_BA[:, slot], temperature, top_p)
            drawn.append(ids_B)
            x_BD = self._tokens.decoder_next(slot, ids_B)
        return torch.stack(drawn, dim=1)


class Tokens:
    """Tables and projections that turn pictures, text and actions into tokens, with the positions added beforehand."""

    def __init__(self, policy: Policy, device: torch.device, dtype: torch.dtype) -> None:
        self.text_weight = policy.text_projection.weight.detach().to(device, torch.float32, copy=True)
        vectors = {
            name: getattr(policy, name).detach().to(device, dtype, copy=True)
            for name in ("no_text", "text_positions", "image_positions", "thinking", "action_out", "action_positions")
        }
        self.no_text, self.text_positions = vectors["no_text"], vectors["text_positions"]
        self.image_positions = vectors["image_positions"]
        self.constant_1XD = torch.cat((vectors["thinking"], vectors["action_out"]))[None]
        heads = [index for index, head in enumerate(policy.space.heads) for _ in range(head.num_slots)]
        embeddings = [policy.embedding(head).detach().to(device, dtype) for head in heads]
        tables = [table + vectors["action_positions"][slot] for slot, table in enumerate(embeddings)]
        sizes = torch.tensor([0] + [len(table) for table in tables[:-1]])
        self.action_table, self.action_offsets_A = torch.cat(tables), sizes.cumsum(0).to(device)
        positions = policy.decoder.positions.detach().to(device, dtype)
        self.next_tables = [table + positions[slot + 1] for slot, table in enumerate(embeddings)]
        self.input_weight = packed_weight(policy.decoder.input, device, dtype)
        self.input_bias = policy.decoder.input.bias.detach().to(device, dtype) + positions[0]
        linears = [policy.head(head) for head in heads]
        # Logits are float32 whatever the dtype: bfloat16 would round the probabilities that are drawn from.
        self.head_weights = [packed_weight(linear, device, torch.float32) for linear in linears]
        self.head_biases = [linear.bias.detach().to(device, torch.float32, copy=True) for linear in linears]

    def text(self, text_BND: Tensor) -> Tensor:
        projected = torch.nn.functional.linear(text_BND, self.text_weight)
        is_empty_B11 = (projected == 0).all(dim=-1).all(dim=-1)[:, None, None]
        tokens_BND: Tensor = torch.where(is_empty_B11, self.no_text, projected.to(self.no_text.dtype))
        return tokens_BND.add(self.text_positions)

    def step(self, previous_BA: Tensor, text_BND: Tensor, image_BKD: Tensor) -> Tensor:
        """The new tokens of a tick: A of the previous step, S, O."""
        acted_BAD = self.action_table[previous_BA + self.action_offsets_A]
        constant_BXD = self.constant_1XD.expand(len(previous_BA), -1, -1)
        return torch.cat((acted_BAD, text_BND, image_BKD + self.image_positions, constant_BXD), dim=1)

    def decoder_input(self, out_BD: Tensor) -> Tensor:
        return torch.addmm(self.input_bias, out_BD, self.input_weight)

    def decoder_next(self, slot: int, ids_B: Tensor) -> Tensor:
        return self.next_tables[slot].index_select(0, ids_B)

    def logits(self, slot: int, x_BD: Tensor) -> Tensor:
        return torch.addmm(self.head_biases[slot], x_BD.float(), self.head_weights[slot])


class Ring:
    """Where a tick's keys lie and who sees them.

    Unit t (of T + 1) holds [A of step t - 1 | S of step t]: one contiguous range per tick. O is written behind it, onto
    the A of the step that has just left the window, where the next tick's A will be; only O itself sees it there.
    """

    def __init__(self, config: PolicyConfig, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.num_seen, self.num_actions = config.num_seen_tokens, config.space.num_slots
        self.num_new = self.num_actions + self.num_seen + 1
        self.unit = self.num_actions + self.num_seen
        self.num_units = config.history_steps + 1
        self.length = self.num_units * self.unit + 1
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
        self.token_Q = ((torch.arange(self.num_new) + self.num_seen + 1) % self.num_new).to(device)
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
        unit_U1, place_K = torch.arange(self.num_units)[:, None], torch.arange(self.length - 1)
        age_UK = (unit_U1 - place_K // self.unit) % self.num_units
        age_UK = age_UK + (place_K % self.unit < self.num_actions).long()
        age_UK = torch.cat((torch.zeros(self.num_units, self.config.num_sinks).long(), age_UK), dim=1)
        age_UK = torch.cat((age_UK, torch.zeros(self.num_units, 1).long()), dim=1)
        unit_U = torch.arange(self.num_units)
        age_UK[unit_U, self.config.num_sinks + (unit_U + 1) * self.unit] = 0
        return age_UK

    def _mask(self, age_UK: Tensor, history: int) -> Tensor:
        """Who sees which place, additive (U, group x Q, sinks + K), for each unit being written."""
        num_sinks = self.config.num_sinks
        is_action_K = torch.arange(self.length) % self.unit < self.num_actions
        is_action_Q1 = (torch.arange(self.num_new) < self.num_actions)[:, None]
        delta_UQK = age_UK[:, None, num_sinks:] - is_action_Q1.long()
        allowed_UQK = (delta_UQK > 0) & (delta_UQK <= history)
        allowed_UQK |= (delta_UQK == 0) & (is_action_Q1 | ~is_action_K)
        unit_U = torch.arange(self.num_units)
        allowed_UQK[unit_U, :, (unit_U + 1) * self.unit] = False
        allowed_UQK[unit_U, -1, (unit_U + 1) * self.unit] = True
        sinks = torch.ones(self.num_units, self.num_new, num_sinks, dtype=torch.bool)
        allowed_UQK = torch.cat((sinks, allowed_UQK), dim=-1).repeat(1, self.group, 1)
        return torch.zeros(allowed_UQK.shape).masked_fill_(~allowed_UQK, float("-inf"))
