"""The stored results of the hidden units: each number is found under its name, and what does not fit is refused."""

import numpy as np
import pytest

from sam_edu import ablation
from sam_edu.ablation import SETS, SHARED, UNIT_ARRAYS, UNIT_MODELS, HiddenUnits, Statistics
from sam_edu.ablation.hidden_units import (
    DEFINITION,
    DRAWN_MEASURES,
    DRAWS,
    DRAWS_AT_CLICK,
    MIRROR,
    MIRROR_MODELS,
    NO_RELU,
    RATES_OF,
    SIZES,
)

SCENES = 7


def random_data() -> dict[str, np.ndarray]:
    stored = {name: array for name, array in ablation.read().items() if not name.startswith("units.")}
    clicks, rng = len(stored["prompts"]), np.random.default_rng(0)
    shapes = {
        "rates": (len(RATES_OF), 2, 2048),
        "shared": (clicks, len(UNIT_MODELS), 2, len(SHARED)),
        "exits": (clicks, len(UNIT_MODELS), 5, 2),
        "updates": (clicks, 2, 7, 2),
        "sets": (clicks, len(SETS), 4),
        "drawn": (clicks, len(SETS), DRAWS_AT_CLICK, len(DRAWN_MEASURES)),
        "no_relu": (clicks, len(NO_RELU), 4),
        "mirror": (SCENES, len(MIRROR_MODELS), len(MIRROR)),
    }
    arrays = {
        "definition": np.array(DEFINITION),
        "chosen": rng.integers(2048, size=(2, 2, SIZES[-1])),
        "firing": rng.integers(2048, size=(clicks, len(UNIT_MODELS), 2, 7)),
        "mirror_scenes": np.arange(SCENES),
        **{name: rng.uniform(size=shape) for name, shape in shapes.items()},
    }
    return stored | {f"units.{name}": array for name, array in arrays.items()}


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    return random_data()


@pytest.fixture(scope="module")
def units(data: dict[str, np.ndarray]) -> HiddenUnits:
    return HiddenUnits(data)


def test_each_number_is_found_under_its_name(data: dict[str, np.ndarray], units: HiddenUnits) -> None:
    assert {name for name in data if name.startswith("units.")} == set(UNIT_ARRAYS)
    for name in ("chosen", "mirror_scenes"):
        np.testing.assert_array_equal(getattr(units, name), data[f"units.{name}"])
    for i, of in enumerate(RATES_OF):
        np.testing.assert_array_equal(units.rates(of), data["units.rates"][i])
    for i, model in enumerate(UNIT_MODELS):
        np.testing.assert_array_equal(units.firing(model), data["units.firing"][:, i] / 2048)
        np.testing.assert_array_equal(units.exits(model), data["units.exits"][:, i])
        for j, which in enumerate(SHARED):
            mean = data["units.shared"][:, i, 1, j].mean()
            assert units.shared(which, 1, model).mean == pytest.approx(mean)
    for i, model in enumerate(MIRROR_MODELS):
        for j, what in enumerate(MIRROR):
            assert units.mirror(what, model).mean == pytest.approx(data["units.mirror"][:, i, j].mean())
    for i, way in enumerate(NO_RELU):
        assert units.without_relu(way, "margin").mean == pytest.approx(data["units.no_relu"][:, i, 2].mean())


def test_sets_stand_beside_their_draws(data: dict[str, np.ndarray], units: HiddenUnits) -> None:
    for i, (way, size) in enumerate(SETS):
        np.testing.assert_array_equal(units.changes(way, size, "predicted"), data["units.sets"][:, i, 3])
        for j, measure in enumerate(DRAWN_MEASURES):
            drawn = data["units.drawn"][:, i, :, j]
            np.testing.assert_array_equal(units.drawn(way, size, measure), drawn)
            beside = units.against_draws(way, size, measure)
            assert beside.effect == pytest.approx(units.effect(way, size, measure).mean)
            parts = data["prompts"][:, 0] % 4
            first = drawn[parts == 3, 2]  # draw number 11, at a quarter of the scenes
            adjusted = beside.effect - (data["units.sets"][parts == 3, i, 2 * j].mean() - first.mean())
            assert beside.low - 0.05 <= adjusted <= beside.high + 0.05
            assert beside.draws == DRAWS
            beyond = units.beyond_draws(way, size, measure)
            assert beyond.mean == pytest.approx((data["units.sets"][:, i, 2 * j] - drawn.mean(1)).mean())
            assert beyond.low < beyond.mean < beyond.high


def test_intervals_are_by_scene(data: dict[str, np.ndarray], units: HiddenUnits) -> None:
    values = np.random.default_rng(1).normal(size=len(data["prompts"]))
    assert units.interval(values) == Statistics(data).interval(values)
    assert units.mirror(MIRROR[0]).prompts == SCENES


def test_what_is_constant_is_the_part_that_does_not_vary(data: dict[str, np.ndarray]) -> None:
    n = len(data["prompts"])
    lengths = np.zeros((n, 2, 7, 2))
    lengths[:, 0, :, 0], lengths[:, 1, :, 0] = 4.0, 5.0  # the whole of each token
    lengths[:, 0, :, 1], lengths[:, 1, 3, 1] = 1.0, 7.0  # what differs from the mean
    units = HiddenUnits(data | {"units.updates": lengths})
    assert units.constant(0).mean == pytest.approx(3 / 4)
    assert units.constant(1).mean == pytest.approx(1 - 7 / 35)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda units: units.rates("moons"), "of: expected one of clicks"),
        (lambda units: units.firing("mine"), "model: expected one of trained"),
        (lambda units: units.shared(SHARED[0], 2), "block: expected one of 0, 1, got 2"),
        (lambda units: units.constant(True), "block: expected one of 0, 1, got True"),
        (lambda units: units.changes("resample", 20), "way, size: expected one of"),
        (lambda units: units.effect("mean", 21), "way, size: expected one of"),
        (lambda units: units.drawn("mean", 205, "predicted"), "measure: expected one of best, margin"),
        (lambda units: units.without_relu("with GELU"), "way: expected one of without ReLU"),
        (lambda units: units.mirror("upside down"), "what: expected one of same position"),
    ],
)
def test_what_was_not_measured_is_refused(units: HiddenUnits, call: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call(units)  # type: ignore[operator]


def test_a_file_without_the_units_or_with_others_is_refused(data: dict[str, np.ndarray]) -> None:
    for changed in ({name: data[name] for name in data if name != "units.sets"}, data | {"units.definition": "old"}):
        with pytest.raises(ValueError, match="--only units"):
            HiddenUnits(changed)
