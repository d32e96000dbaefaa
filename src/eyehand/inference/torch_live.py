"""Step-by-step inference: one picture in, one action's tokens out, with a static key/value cache.

Each tick runs ONE backbone pass over [A of the previous step | S of this step | O of this step]: what was really
executed goes in together with the next picture. The cache is a ring of T + 1 steps that is never copied or grown. The
action decoder then draws the tokens one after another. Equals `Policy.forward` over the same history (tested), also
after the ring has rolled. Several episodes can run in one batch, each begun at its own time.

Knows no resizing, no sentences, no clock. Shapes: B episodes, A action slots, D width; Q new tokens of a tick, K places
of the ring, U its units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eyehand.inference.engine import LiveState, StagedEngine
from eyehand.inference.packed import PackedBlock
from eyehand.inference.packed_vision import packed
from eyehand.inference.rolling_cache import RollingCache
from eyehand.inference.sampling import draw
from eyehand.inference.tokens import Tokens
from eyehand.model.block import rope_table
from eyehand.model.policy import Policy

__all__ = ["LivePolicy"]


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
        self._ring = RollingCache(self.config, self.device, dtype)
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
