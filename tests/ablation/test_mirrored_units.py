"""Mirrored units: maps whose correlations are known, and the activations of the decoder itself."""

import numpy as np
import pytest
import torch

from sam_edu.ablation import FIRST_SCENE, prompts_of
from sam_edu.ablation.mirrored_units import CLICK, GRID, click_activations, correlations, grid_of_clicks, mirror_scene
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import trace

NUMBER = FIRST_SCENE + 2


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


def maps(*, units: int = 800, seed: int = 0) -> torch.Tensor:
    """Unrelated maps, each with about half of the clicks silent."""
    return torch.randn(units, GRID, GRID, generator=torch.Generator().manual_seed(seed)).relu()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_units_that_follow_the_position_keep_their_maps() -> None:
    own = maps()
    position, part, other, unit = correlations(own, own, own, rng())
    assert position == pytest.approx(1)
    assert other == pytest.approx(1)
    assert abs(part) < 0.08
    assert abs(unit) < 0.08


def test_units_that_follow_the_image_are_mirrored_with_it() -> None:
    own = maps()
    position, part, other, unit = correlations(own, own.flip(-1), maps(seed=1), rng())
    assert part == pytest.approx(1)
    assert max(abs(position), abs(other), abs(unit)) < 0.05


def test_maps_that_are_all_alike_show_in_the_control() -> None:
    own = maps(units=1).expand(20, -1, -1)
    assert correlations(own, own, own, rng())[3] == pytest.approx(1)


def test_silent_units_do_not_count() -> None:
    own, silent = maps(), maps()
    silent[::2] = 0
    always = maps() + 0.1
    assert correlations(own, silent, own, rng())[2] == pytest.approx(1)
    assert correlations(own, silent, own, rng())[0] == pytest.approx(1)  # of the other half
    assert np.isnan(correlations(own, own, always, rng())).all()
    assert np.isnan(correlations(own[:1], own[:1], own[:1], rng())).all()


def test_the_grid_is_its_own_mirror_image() -> None:
    grid = grid_of_clicks(256).unflatten(0, (GRID, GRID))
    # The prompt encoder adds half a pixel to a click; the mirror image of pixel x is 255 - x.
    torch.testing.assert_close(255 - grid[..., 0], grid[..., 0].flip(1))
    torch.testing.assert_close(grid[..., 1], grid[..., 0].T)


def test_activations_are_those_of_the_decoder(model: Sam) -> None:
    image = prompts_of(NUMBER)[0]
    found = click_activations(model, image)
    predictor = Predictor(model)
    predictor.set_image(image)
    for row, column in ((0, 0), (2, 5), (5, 1)):
        click = grid_of_clicks(256).unflatten(0, (GRID, GRID))[row, column]
        with trace(model) as t:
            predictor.predict(click[None].numpy(), [1])
        expected = t["transformer.layers.0.mlp.hidden"][0, CLICK]
        torch.testing.assert_close(found[:, row, column], expected, atol=1e-3, rtol=1e-3)


def test_a_scene_is_compared_with_its_mirror_image_and_the_next(model: Sam) -> None:
    image, other = prompts_of(NUMBER)[0], prompts_of(NUMBER + 1)[0]
    own, mirrored, next_one = (click_activations(model, one) for one in (image, image[:, ::-1].copy(), other))
    found = mirror_scene(model, NUMBER)
    assert found.shape == (4,)
    np.testing.assert_allclose(found[:3], correlations(own, mirrored, next_one, rng())[:3], atol=1e-6)
    assert not np.allclose(found[0], found[2], atol=1e-3)
