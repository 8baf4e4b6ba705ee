"""Dropout masks: the rate, independence of neighbours, layout and repeatability."""

from __future__ import annotations

import pytest
import torch

from fobench.learners.dropout import TOGETHER, drop_, kept, masked_


def draw(shape: tuple[int, ...], rate: float, seed: int = 0) -> torch.Tensor:
    """Say which units are dropped."""
    return kept(shape, rate, torch.Generator().manual_seed(seed), "cpu").logical_not()


@pytest.mark.parametrize("shape", [(1000, 400), (40, 25, 20, 20)])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_the_share_of_dropped_units_is_the_rate(shape: tuple[int, ...], rate: float) -> None:
    mask = draw(shape, rate)
    deviation = (rate * (1 - rate) / mask.numel()) ** 0.5
    assert mask.shape == shape and mask.dtype == torch.bool
    assert abs(mask.double().mean().item() - rate) < 4 * deviation


def test_lanes_of_a_word_are_alike_and_independent() -> None:
    lanes = draw((250_000, 4), 0.1).double()
    deviation = (0.1 * 0.9 / 250_000) ** 0.5
    assert (lanes.mean(0) - 0.1).abs().max() < 4 * deviation
    correlation = torch.corrcoef(lanes.T) - torch.eye(4)
    assert correlation.abs().max() < 4 / 500


def test_maps_lie_channels_last_and_a_seed_means_one_mask() -> None:
    mask = draw((3, 5, 4, 7), 0.3, seed=5)
    assert mask.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(mask, draw((3, 5, 4, 7), 0.3, seed=5))
    assert not torch.equal(mask, draw((3, 5, 4, 7), 0.3, seed=6))


def test_no_unit_is_dropped_at_rate_0_and_odd_sizes_are_filled() -> None:
    assert not draw((7, 3), 0.0).any()
    assert draw((7, 3), 1 - 2**-16).float().mean() > 0.9


@pytest.mark.parametrize(
    "shape", [(6, 5), (33, 300), (100, TOGETHER // 40), (100, TOGETHER // 50), (7, 3, 5, 2), (20, 7, 30, 15)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mask_sets_to_zero_what_it_does_not_keep(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """And one that is drawn as it is applied is the same mask, and leaves its generator where the other does."""
    H = torch.randn(shape, dtype=dtype)
    if len(shape) == 4:
        H = H.contiguous(memory_format=torch.channels_last)
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    mask = kept(shape, 0.3, one, "cpu")
    expected = torch.where(mask, H, 0)
    assert torch.equal(masked_(H.clone(), mask), expected)
    assert torch.equal(drop_(H.clone(), 0.3, other), expected)
    assert torch.equal(one.get_state(), other.get_state())
