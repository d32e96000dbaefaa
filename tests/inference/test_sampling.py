"""Drawing tokens: inverse CDF, temperature, top-p."""

from __future__ import annotations

import pytest
import torch

from eyehand.inference.sampling import draw, draw_by_tensors

LOGITS = torch.tensor([[0.1, 0.4, 0.3, 0.2]]).log()


def _draw(uniform: float, temperature: float = 1.0, top_p: float = 1.0) -> int:
    return int(draw(LOGITS, torch.tensor([uniform]), temperature, top_p))


def test_first_index_whose_cumulative_probability_reaches_the_uniform() -> None:
    assert [_draw(u) for u in (0.0, 0.05, 0.15, 0.45, 0.55, 0.75, 0.85, 0.999)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_uniform_of_almost_one_stays_inside() -> None:
    assert _draw(1.0) == 3
    logits = torch.zeros(1, 23)
    assert int(draw(logits, torch.tensor([1.0]))) <= 22


def test_temperature() -> None:
    assert [_draw(u, temperature=0) for u in (0.0, 0.99)] == [1, 1]
    # At temperature 1/2 the probabilities go with their squares: 1, 16, 9, 4 of 30.
    assert [_draw(u, temperature=0.5) for u in (0.02, 0.05, 0.55, 0.58, 0.86, 0.88)] == [0, 1, 1, 2, 2, 3]


def test_top_p_keeps_the_fewest_likeliest() -> None:
    # 0.4 + 0.3 reach 0.6: only choices 1 and 2 stay, with 4/7 and 3/7.
    assert [_draw(u, top_p=0.6) for u in (0.01, 0.56, 0.58, 0.99)] == [1, 1, 2, 2]
    assert [_draw(u, top_p=0.1) for u in (0.01, 0.99)] == [1, 1]


def test_rows_are_drawn_apart() -> None:
    rows = LOGITS.expand(3, -1)
    assert draw(rows, torch.tensor([0.05, 0.3, 0.95])).tolist() == [0, 1, 3]


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.5, 0.9, 1.0, 3.0])
@pytest.mark.parametrize("top_p", [0.05, 0.6, 0.999, 1.0])
def test_temperature_and_top_p_as_tensors_draw_the_same(temperature: float, top_p: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(200, 23, generator=generator)
    logits[0] = 0.0  # all alike
    uniforms = torch.rand(200, generator=generator)
    uniforms[1:3] = torch.tensor([0.0, 1.0])
    drawn = draw_by_tensors(logits, uniforms, torch.tensor([temperature]), torch.tensor([top_p]))
    assert drawn.dtype == torch.int64
    assert torch.equal(drawn, draw(logits, uniforms, temperature, top_p))
