"""What the 16 numbers of a mask prompt hold: known answers, and how they are stored."""

import numpy as np
import pytest
import torch
from torch import nn

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, MaskNumbers
from sam_edu.ablation.mask_numbers import (
    ARRAYS,
    LOTS,
    cells,
    directions_of,
    encoders_of,
    errors_of,
    numbers_of,
    products,
    sums_of_scene,
)
from sam_edu.ablation.prompts import scene_and_prompts
from sam_edu.sam import Sam, load

NUMBER = FIRST_SCENE + 5


@pytest.fixture(scope="module")
def model() -> Sam:
    return load().requires_grad_(False)


def test_cells_are_squares_of_16_logits() -> None:
    logits = torch.arange(256.0 * 256).view(256, 256)
    assert cells(logits).shape == (4096, 16)
    assert cells(logits)[65].tolist() == logits[4:8, 4:8].flatten().tolist()


def test_numbers_are_what_the_last_convolution_gets(model: Sam) -> None:
    downscaling = model.prompt_encoder.mask_downscaling
    logits = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    numbers = numbers_of(downscaling, logits)
    dense = model.prompt_encoder(None, None, logits[None, None])[1]
    weight, bias = downscaling[-1].weight.flatten(1), downscaling[-1].bias
    torch.testing.assert_close(numbers @ weight.T + bias, dense[0].flatten(1).T, atol=1e-4, rtol=1e-4)


def test_directions_after_a_layer() -> None:
    covariance, rng = np.diag([4.0, 1.0, 0.0]), np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    np.testing.assert_allclose(directions_of(covariance, 3 * directions), [36, 9, 0], atol=1e-9)
    full = rng.normal(size=(9, 3))
    large = np.linalg.eigvalsh(full @ covariance @ full.T)[::-1]
    np.testing.assert_allclose(directions_of(covariance, full), large[:3], atol=1e-9)


def keeps_corners() -> nn.Sequential:
    """Convolutions whose 16 numbers begin with the upper left logit of each cell; the others are zero."""
    first, second, last = nn.Conv2d(1, 4, 2, 2, bias=False), nn.Conv2d(4, 16, 2, 2, bias=False), nn.Conv2d(16, 256, 1)
    for one in (first, second):
        nn.init.zeros_(one.weight)
        one.weight.data[0, 0, 0, 0] = 1
    return nn.Sequential(first, nn.Identity(), nn.Identity(), second, nn.Identity(), nn.Identity(), last)


@torch.no_grad()
def test_a_fit_explains_what_the_numbers_hold_and_nothing_else() -> None:
    generator, encoder = torch.Generator().manual_seed(0), keeps_corners()
    prompts = [torch.randn(256, 256, generator=generator) for _ in range(4)]
    sums = np.stack([products(one, [encoder]) for one in prompts])
    numbers, outputs = list(range(2, 18)), list(range(18, 34))
    halves = np.array([0, 1, 0, 1])

    def share(inputs: list[int], of: list[int]) -> float:
        errors, constant = errors_of(sums, halves, inputs, of)
        return float(1 - errors.sum() / constant.sum())

    # Of 16 independent logits the first tells a 16th of the mean's variance, and of the 15 deviations' a 15th less
    # what is common: the deviation of the first has the variance 15/16, that of each other loses 1/15 of it.
    assert share(numbers, [1]) == pytest.approx(1 / 16, abs=0.02)
    assert share(numbers, outputs) == pytest.approx(1 / 16, abs=0.02)
    assert share([1], [1]) == pytest.approx(1)
    assert abs(share([1], outputs)) < 0.01
    errors, constant = errors_of(sums, halves, [1], outputs)
    deviations = [cells(one) - cells(one).mean(1, keepdim=True) for one in prompts]
    np.testing.assert_allclose(constant, [float(one.square().sum()) for one in deviations], rtol=1e-3)
    assert errors.shape == (4,)


def test_it_is_judged_on_the_half_that_was_not_fitted() -> None:
    # Two clicks in which the output is +x and -x: what is learned from one is wrong for the other.
    x = np.array([1.0, -1.0, 2.0, -2.0])
    tables = [np.stack([np.ones(4), x, sign * x], axis=1) for sign in (1, -1)]
    sums = np.stack([table.T @ table for table in tables])
    errors, constant = errors_of(sums, np.array([0, 1]), [1], [2])
    np.testing.assert_allclose(constant, [10, 10])
    np.testing.assert_allclose(errors, [40, 40])


def test_a_scene(model: Sam) -> None:
    encoders = encoders_of(model)
    assert len(encoders) == 1 + LOTS
    assert encoders[0] is model.prompt_encoder.mask_downscaling
    assert len({float(one[0].weight.sum()) for one in encoders}) == 1 + LOTS
    rows = sums_of_scene(model, NUMBER, encoders[:2])
    assert [tuple(row["prompt"]) for row in rows] == scene_and_prompts(NUMBER)[1]
    for row in rows:
        assert row["products"].shape == (50, 50)
        assert row["products"][0, 0] == 4096
        np.testing.assert_allclose(row["products"][0, 34:].sum(), 0, atol=0.1)  # deviations sum to nothing


def stored() -> dict[str, np.ndarray]:
    """The package's file with made-up numbers."""
    data = ablation.read()
    n = len(data["prompts"])
    errors = np.broadcast_to(np.arange(1.0, 3 + LOTS), (n, 2, 2 + LOTS)) * np.array([1.0, 2.0])[:, None]
    return data | {
        "mask_numbers.errors": errors,
        "mask_numbers.variances": np.broadcast_to(np.array([10.0, 20.0]), (n, 2)),
        "mask_numbers.directions": np.arange(16.0 * (1 + LOTS)).reshape(1 + LOTS, 16),
    }


def test_stored_numbers_are_read() -> None:
    numbers = MaskNumbers(stored())
    for of in ("mean", "deviations"):
        assert [one.mean for one in numbers.explained("16 numbers", of)] == pytest.approx([0.9])
        assert [one.mean for one in numbers.explained("one number", of)] == pytest.approx([0.8])
        untrained = numbers.explained("untrained", of)
        assert [one.mean for one in untrained] == pytest.approx([0.7 - 0.1 * i for i in range(LOTS)])
    assert numbers.directions.shape == (1 + LOTS, 16)


@pytest.mark.no_shape_check
def test_what_is_missing_or_unknown_is_refused() -> None:
    data = stored()
    for name in ARRAYS:
        with pytest.raises(ValueError, match=f"lacks the mask numbers' {name}: .*--only numbers"):
            MaskNumbers({key: array for key, array in data.items() if key != f"mask_numbers.{name}"})
    numbers = MaskNumbers(data)
    with pytest.raises(ValueError, match="what: expected one of 16 numbers, one number, untrained, got 'two'"):
        numbers.explained("two", "mean")
    with pytest.raises(ValueError, match="of: expected one of mean, deviations"):
        numbers.explained("untrained", "edges")  # type: ignore[arg-type]
