"""The stored results of the product: each number is found under its name, and what does not fit is refused."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from sam_edu.ablation import FIRST_SCENE, PRODUCT_ARRAYS, WAYS, ProductStatistics
from sam_edu.ablation.outline_fits import FITS
from sam_edu.ablation.product_results import MEASURES_OF_CHANNEL, ORDERS, PARTS, REGIONS, ZONES
from sam_edu.ablation.token_crossing import CROSSINGS, TOKENS

CLICKS, PAIRS, LOTS = 6, 4, 20


def random_data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    prompts = np.zeros((CLICKS, 6), np.int32)
    prompts[:, 0] = FIRST_SCENE + np.arange(CLICKS) // 2
    clicks = np.zeros((PAIRS, 2, 6), np.int32)
    clicks[:, :, 0] = FIRST_SCENE + np.arange(PAIRS)[:, None]
    shapes = {
        "kept": (CLICKS, len(WAYS), 4),
        "parts": (CLICKS, len(PARTS), len(REGIONS), 4),
        "growth": (CLICKS, len(ORDERS), 32),
        "terms": (CLICKS, len(ZONES), 32),
        "channels": (CLICKS, len(MEASURES_OF_CHANNEL), 32),
        "crossings": (CLICKS, len(CROSSINGS)),
        "tokens": (CLICKS, len(TOKENS), 4),
        "reshuffled": (LOTS, len(CROSSINGS) + 4 * len(TOKENS)),
        "outlines": (PAIRS, len(FITS)),
    }
    return {
        "weights": np.array("0" * 64),
        "prompts": prompts,
        "product.definitions": np.array(json.dumps(WAYS)),
        "product.best": np.array([1, 2, 3, 1, 2, 3], np.int8),
        "product.outline_clicks": clicks,
        **{f"product.{name}": rng.uniform(size=shape) for name, shape in shapes.items()},
    }


def test_each_number_is_found_under_its_name() -> None:
    data = random_data()
    product = ProductStatistics(data)
    assert set(data) - {"weights", "prompts"} == set(PRODUCT_ARRAYS)
    for i, way in enumerate(WAYS):
        np.testing.assert_array_equal(product.ious(way), data["product.kept"][:, i])
        assert product.kept(way, 3).mean == pytest.approx(data["product.kept"][:, i, 3].mean())
    for i, part in enumerate(PARTS):
        for j, region in enumerate(REGIONS):
            assert product.part(part, region, 2).mean == pytest.approx(data["product.parts"][:, i, j, 2].mean())
    for i, order in enumerate(ORDERS):
        np.testing.assert_array_equal(product.growth(order), data["product.growth"][:, i])
    for i, zone in enumerate(ZONES):
        np.testing.assert_array_equal(product.terms(zone), data["product.terms"][:, i])
    for i, measure in enumerate(MEASURES_OF_CHANNEL):
        np.testing.assert_array_equal(product.channels(measure), 1 - data["product.channels"][:, i])
    for i, what in enumerate(CROSSINGS):
        assert product.crossing(what).mean == pytest.approx(data["product.crossings"][:, i].mean())
        np.testing.assert_array_equal(product.reshuffled_crossings(what), data["product.reshuffled"][:, i])
    for i, token in enumerate(TOKENS):
        for mask in range(4):
            assert product.token(token, mask).mean == pytest.approx(data["product.tokens"][:, i, mask].mean())
            column = data["product.reshuffled"][:, 3 + 4 * i + mask]
            np.testing.assert_array_equal(product.reshuffled_tokens(token, mask), column)
    for i, fit in enumerate(FITS):
        assert product.outlines(fit).mean == pytest.approx(data["product.outlines"][:, i].mean())
        assert product.outlines(fit).prompts == PAIRS
    assert repr(product) == "<ProductStatistics: 6 clicks on 3 held-out scenes, 4 pairs>"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.ious("louder"), "way: expected one of silent features constant"),
        (lambda p: p.kept("mean weights", 4), "mask: expected one of 0, 1, 2, 3, got 4"),
        (lambda p: p.kept("mean weights", True), "mask: expected"),
        (lambda p: p.part("silence", "inside", 0), "part: expected one of silent, loud"),
        (lambda p: p.part("silent", "middle", 0), "region: expected one of inside"),
        (lambda p: p.growth("by name"), "order: expected one of largest first"),
        (lambda p: p.terms("middle"), "zone: expected one of image, edge"),
        (lambda p: p.channels("length"), "measure: expected one of area, boundary"),
        (lambda p: p.crossing("both"), "what: expected one of its token"),
        (lambda p: p.token("another", 0), "token: expected one of one mean token"),
        (lambda p: p.outlines("all"), "fit: expected one of features of A"),
    ],
)
def test_a_name_that_is_none_is_refused(ask: Callable[[ProductStatistics], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(ProductStatistics(random_data()))


def test_a_file_without_the_product_or_with_other_ways_is_refused() -> None:
    data = random_data()
    with pytest.raises(ValueError, match="lacks the product"):
        ProductStatistics({name: array for name, array in data.items() if name != "product.growth"})
    with pytest.raises(ValueError, match="ways have changed"):
        ProductStatistics(data | {"product.definitions": np.array(json.dumps({"a way": "of before"}))})
