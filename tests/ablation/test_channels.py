"""The channels of the product: exactly one term of the sum is replaced."""

import pytest
import torch
from ablation_cases import random_inputs, traced
from torch import Tensor

from sam_edu.ablation import ABLATIONS, BIASES, CHANNELS, TERMS, ReferenceRuns, References, ablated
from sam_edu.ablation.channels import VALUES, WEIGHTS, terms
from sam_edu.modules import MaskDecoder
from sam_edu.tracing import trace

NUMBER, GRID = 5, 3


def term(t: dict[str, Tensor], channel: int) -> Tensor:
    """Weight times value, pixel by pixel, (masks, height, width)."""
    return torch.stack([weight * t[VALUES][0, channel] for weight in t[WEIGHTS][0, :, channel]])


def total(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(dim=0)


def test_the_terms_add_up_to_the_masks(decoder: MaskDecoder) -> None:
    t = traced(decoder, random_inputs(0, GRID))
    torch.testing.assert_close(t["masks"][0], total([term(t, channel) for channel in range(CHANNELS)]))
    torch.testing.assert_close(terms(t[WEIGHTS], t[VALUES])[0, :, NUMBER], term(t, NUMBER))


@pytest.mark.parametrize("mode", ["zero", "mean by position", "mean over positions", "resample"])
def test_one_term_is_replaced_and_nothing_else(decoder: MaskDecoder, mode: str) -> None:
    before, *others = (traced(decoder, random_inputs(seed, GRID)) for seed in range(4))
    each = torch.stack([torch.stack([term(t, channel) for channel in range(CHANNELS)], dim=1) for t in others])
    held_out = ReferenceRuns({TERMS: each, BIASES: each.mean(dim=(3, 4), keepdim=True)})
    wanted = {
        "zero": torch.zeros(4, 1, 1),
        "mean by position": total([term(t, NUMBER) for t in others]) / 3,
        "mean over positions": total([term(t, NUMBER).mean(dim=(1, 2), keepdim=True) for t in others]) / 3,
        "resample": term(others[1], NUMBER),
    }[mode]
    with ablated(decoder, f"channel {NUMBER} {mode}", References(held_out, None, others[1])), trace(decoder) as t:
        decoder.predict_masks(**random_inputs(0, GRID))
    rest = total([term(before, channel) for channel in range(CHANNELS) if channel != NUMBER])
    torch.testing.assert_close(t["masks"][0], rest + wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(t["masks"], before["masks"], atol=1e-4)
    assert [name for name in before if name != "masks" and not torch.equal(t[name], before[name])] == []


def test_the_definition_says_what_is_replaced() -> None:
    text = ABLATIONS[f"channel {NUMBER} mean by position"].definition
    assert text.startswith(f"the term of channel {NUMBER} in the product, weight times value, is replaced by its mean")
