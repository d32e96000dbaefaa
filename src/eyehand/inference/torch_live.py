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
from eyehand.inference.packed import Packing, new_cache
from eyehand.inference.packed_vision import packed
from eyehand.inference.rolling_cache import RollingCache
from eyehand.inference.sampling import draw
from eyehand.inference.tick import BackboneStep, decode_action
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
        self._packing = Packing(self.device, dtype)
        self._ring = RollingCache(self.config, self.device, dtype)
        self._step = BackboneStep(policy, self._packing)
        self._decode_action = decode_action(policy, self._packing)

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for `batch` episodes."""
        caches = [new_cache(block.sinks, batch, self._ring.length) for block in self._step.blocks]
        return LiveState(caches, [0] * batch)

    @torch.inference_mode()
    def embed_text(self, text_BND: Tensor) -> Tensor:
        """Text tokens of embedded instructions (zeros: none), to be kept while the instruction stays."""
        return self._step.tokens.text(text_BND.to(self.device, torch.float32))

    @torch.inference_mode()
    def encode_image(self, frames_BCHW: Tensor) -> Tensor:
        """Image tokens of uint8 RGB pictures."""
        image_BKD: Tensor = self._encoder(frames_BCHW.to(self.device))
        return image_BKD

    @torch.inference_mode()
    def step(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor:
        """Advance by one step; the backbone's output at the action_out token, (B, D).

        Args:
            state: changed in place.
            image_BKD: from `encode_image`.
            text_BND: from `embed_text`.
            previous_BA: tokens of what was executed since the last step; of no effect at an episode's first.
        """
        ring, tick, batch = self._ring, state.tick, len(state.starts)
        masks, first = ring.masks(tick, state.starts), self.config.num_sinks + ring.place(tick)

        def attend(layer: int, q: Tensor, new: Tensor) -> Tensor:
            cache = state.backbone[layer]
            cache[:, :, first : first + ring.num_new] = new
            return self._step.blocks[layer].attended(q, cache, masks[self.config.history_of(layer)])

        turns = self._packing.turns(ring.rope(tick, state.starts))
        out_BD: Tensor = self._step(previous_BA.to(self.device), text_BND, image_BKD, turns, attend, batch)
        state.tick += 1
        return out_BD

    @torch.inference_mode()
    def decode_action(
        self, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """Draw the action tokens one after another, (B, A) int64 on the device.

        Args:
            out_BD: from `step`.
            uniforms_BA: in [0, 1), one per slot.
            temperature, top_p: see `sampling.draw`.
        """
        uniforms_BA = uniforms_BA.to(self.device)
        _, ids = self._decode_action(
            out_BD, lambda slots, logits: draw(logits, uniforms_BA[:, slots], temperature, top_p), len(out_BD)
        )
        return torch.cat(ids, dim=1)
