"""The product with other features or weights, on small numbers written out by hand."""

import pytest
import torch
from torch import Tensor

from sam_edu.ablation import WAYS
from sam_edu.ablation.product_ways import ProductMeans, best_threshold, logits_by_way, overlaps

HEIGHT, WIDTH = 3, 4
CHANNELS = 5


def case() -> tuple[Tensor, Tensor, ProductMeans]:
    """Weights (4, 5), features (5, 12), and means that no feature has."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(4, CHANNELS, generator=generator)
    features = torch.randn(CHANNELS, HEIGHT * WIDTH, generator=generator)
    vectors = [torch.rand(CHANNELS, generator=generator) for _ in range(3)]
    tables = [torch.randn(4, CHANNELS, generator=generator) for _ in range(3)]
    others = torch.randn(6, 4, CHANNELS, generator=generator)
    return weights, features, ProductMeans(-vectors[0], vectors[1], vectors[2], *tables, torch.zeros(4, 8), others)


def by_way(seed: int = 1) -> dict[str, Tensor]:
    weights, features, means = case()
    return logits_by_way(weights, features, HEIGHT, means, torch.Generator().manual_seed(seed))


def replaced(where: str, values: str) -> Tensor:
    """The logits with some features replaced, one feature at a time."""
    weights, features, means = case()
    new = features.clone()
    for c in range(CHANNELS):
        for p in range(HEIGHT * WIDTH):
            at = HEIGHT * WIDTH - 1 - p if "mirrored" in where else p  # a half turn
            silent = bool(features[c, at] < 0)
            if silent == ("silent" in where):
                new[c, p] = 0.0 if values == "zero" else getattr(means, values)[c]
    return weights @ new


@pytest.mark.parametrize(
    ("way", "values"),
    [
        ("silent features constant", "silent"),
        ("loud features constant", "loud"),
        ("mirrored silent constant", "every"),
        ("mirrored loud constant", "every"),
        ("silent features zero", "zero"),
        ("loud features zero", "zero"),
    ],
)
def test_features_are_replaced_where_the_name_says(way: str, values: str) -> None:
    torch.testing.assert_close(by_way()[way], replaced(way, values))


def test_every_way_acts_and_none_is_another() -> None:
    weights, features, _ = case()
    logits = [weights @ features, *by_way().values()]
    assert list(by_way()) == list(WAYS)
    for i, one in enumerate(logits):
        assert not any(torch.allclose(one, other) for other in logits[:i])


def test_other_weights_meet_the_clicks_own_features() -> None:
    weights, features, means = case()
    ways = by_way()
    torch.testing.assert_close(ways["mean weights"], means.weights @ features)
    products = [other @ features for other in means.other_weights]
    assert sum(torch.allclose(ways["weights of another scene"], one) for one in products) == 1
    assert not torch.allclose(ways["shuffled weights"], weights @ features)
    # One order for all masks, so the sum of the weights times one row per channel can be found again.
    orders = [torch.linalg.lstsq(features.T, row).solution for row in ways["shuffled weights"]]
    for row, found in zip(weights, orders, strict=True):
        torch.testing.assert_close(found.sort().values, row.sort().values, atol=1e-4, rtol=1e-4)
    assert not torch.equal(by_way(2)["shuffled weights"], ways["shuffled weights"])


def test_one_number_makes_the_mask_as_good_as_any_number_can() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 200, generator=generator)
    masks = logits + 2 * torch.randn(4, 200, generator=generator) > 1
    logits[:, 50:60] = logits[:, :10]  # equal logits
    shifted = best_threshold(logits, masks)
    for one, new, mask in zip(logits, shifted, masks, strict=True):
        every = [overlaps((one >= value)[None], mask[None]).item() for value in one]
        assert overlaps((new > 0)[None], mask[None]).item() == pytest.approx(max(every))
        torch.testing.assert_close((new - one), (new - one)[:1].expand(200))  # it is one number


def test_a_mask_that_a_threshold_can_give_is_found_exactly() -> None:
    logits = torch.tensor([[3.0, -1.0, 5.0, 4.0]])
    mask = logits > 3.5
    assert torch.equal(best_threshold(logits, mask) > 0, mask)
    assert (best_threshold(logits, torch.ones(1, 4, dtype=torch.bool)) > 0).all()


@pytest.mark.parametrize("chosen", [0, 1])
def test_no_number_tells_equal_logits_apart(chosen: int) -> None:
    mask = torch.zeros(1, 3, dtype=torch.bool)
    mask[0, chosen] = True
    assert (best_threshold(torch.tensor([[1.0, 1.0, 0.0]]), mask) > 0).tolist() == [[True, True, False]]


def test_overlaps_of_known_masks() -> None:
    masks = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]).bool()
    expected = torch.tensor([[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(overlaps(masks, masks), expected)
