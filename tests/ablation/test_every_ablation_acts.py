"""Every ablation of the list changes its own tensors, and nothing that is computed before them."""

from functools import partial

import pytest
import torch
from acting import assert_acted
from torch import Tensor

from sam_edu.ablation import ABLATIONS, BIASES, TERMS, Change, ReferenceRuns, References, ablated
from sam_edu.ablation.channels import VALUES, WEIGHTS, terms
from sam_edu.modules import MaskDecoder
from sam_edu.sam import build_mask_decoder
from sam_edu.tracing import trace

GRID = 4


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    """The official architecture, untrained; no parameter is zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = build_mask_decoder().eval()
        for parameter in decoder.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return decoder.requires_grad_(False)


def random_inputs(seed: int) -> dict[str, Tensor]:
    """Of one click: two prompt tokens."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "image_embeddings": (1, 256, GRID, GRID),
        "image_pe": (1, 256, GRID, GRID),
        "sparse_prompt_embeddings": (1, 2, 256),
        "dense_prompt_embeddings": (1, 256, GRID, GRID),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    return random_inputs(1)


@pytest.fixture(scope="module")
def references(decoder: MaskDecoder) -> References:
    """Runs of other clicks, which stand in for held-out ones, for those on the same image, and for the other one."""
    found = []
    for seed in range(2, 5):
        with trace(decoder) as t:
            decoder.predict_masks(**random_inputs(seed))
        product = terms(t[WEIGHTS], t[VALUES])
        found.append(dict(t) | {TERMS: product, BIASES: product.mean(dim=(3, 4), keepdim=True)})
    runs = ReferenceRuns({name: torch.cat([t[name] for t in found]) for name in found[0]})
    return References(runs, runs, found[0])


@pytest.fixture(scope="module")
def unchanged(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    with trace(decoder) as t:
        decoder.predict_masks(**inputs)
    return dict(t)


def keeps(change: Change) -> bool:
    """Whether a change only keeps a tensor for later, and replaces nothing: `Memory.keep`."""
    function = change.how.func if isinstance(change.how, partial) else change.how
    return getattr(function, "__qualname__", "").startswith("Memory.keep.")


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_acts_where_it_says(
    name: str,
    decoder: MaskDecoder,
    inputs: dict[str, Tensor],
    unchanged: dict[str, Tensor],
    references: References,
) -> None:
    changes = [change for change in ABLATIONS[name].of(decoder, references) if not keeps(change)]
    with trace(decoder) as t, ablated(decoder, name, references):
        decoder.predict_masks(**inputs)
    # Of a single change, what it does not select stays too.
    selected = {changes[0].point: (t.axes(changes[0].point), changes[0].select)} if len(changes) == 1 else {}
    assert_acted(unchanged, dict(t), {change.point for change in changes}, selected)
