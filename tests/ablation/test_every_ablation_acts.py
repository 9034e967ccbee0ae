"""Every ablation of the list changes its own tensors, and nothing that is computed before them."""

from functools import partial

import pytest
from ablation_cases import make_references, random_inputs, traced
from acting import assert_acted
from torch import Tensor

from sam_edu.ablation import ABLATIONS, Change, References, ablated
from sam_edu.modules import MaskDecoder
from sam_edu.tracing import trace

GRID = 4


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    return random_inputs(1, GRID)


@pytest.fixture(scope="module")
def references(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> References:
    return make_references(decoder, inputs)


@pytest.fixture(scope="module")
def unchanged(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return traced(decoder, inputs)


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
