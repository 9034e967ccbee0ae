"""Exchanged maps: what the interventions do to weights, known answers, and how the numbers are stored."""

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, MAP_MEASURES, MAP_PLACES, MAP_WAYS, TOKEN_TO_IMAGE, ExchangedMaps
from sam_edu.ablation.exchanged_maps import exchange, exchanged_maps_of_scene, make_alike, overlaps
from sam_edu.ablation.prompts import prompts_of
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import intervene, trace

NUMBER = FIRST_SCENE + 3


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


def test_each_mask_token_gets_the_next_ones_maps_and_the_others_keep_theirs() -> None:
    weights = torch.randn(1, 2, 7, 5, generator=torch.Generator().manual_seed(0))
    new = exchange(weights.clone())
    for own, donor in zip((1, 2, 3, 4), (2, 3, 4, 1), strict=True):
        torch.testing.assert_close(new[:, :, own], weights[:, :, donor])
    alike = make_alike(weights.clone())
    for token in (1, 2, 3, 4):
        torch.testing.assert_close(alike[:, :, token], weights[:, :, 1:5].mean(2))
    for changed in (new, alike):
        torch.testing.assert_close(changed[:, :, [0, 5, 6]], weights[:, :, [0, 5, 6]])


def test_overlaps_tell_own_from_donor() -> None:
    unchanged = torch.zeros(4, 2, 4, dtype=torch.bool)
    for i in range(4):
        unchanged[i, :, i] = True
    assert overlaps(unchanged, unchanged) == (1, 0, 0)
    assert overlaps(unchanged.roll(-1, dims=0), unchanged) == (0, 1, 0)
    assert overlaps(unchanged[:1].expand(4, -1, -1), unchanged) == (0.25, 0.25, 1)
    assert overlaps(torch.zeros_like(unchanged), unchanged) == (0, 0, 1)


def test_a_scene_is_what_interventions_give(model: Sam) -> None:
    rows = exchanged_maps_of_scene(model, NUMBER)
    image, _, prompts = prompts_of(NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    assert all(row["ious"].shape == (len(MAP_WAYS), len(MAP_PLACES), len(MAP_MEASURES)) for row in rows)
    predictor, prompt = Predictor(model), prompts[0]
    predictor.set_image(image)

    def masks() -> torch.Tensor:
        with trace(model) as t:
            predictor.predict([[prompt.x, prompt.y]], [1])
        return t["masks"][0] > 0

    unchanged = masks()
    np.testing.assert_allclose(rows[0]["unchanged"], overlaps(unchanged, unchanged), atol=2e-3)
    with intervene(model, f"{TOKEN_TO_IMAGE[2]}.weights", exchange):
        np.testing.assert_allclose(rows[0]["ious"][0, 2], overlaps(masks(), unchanged), atol=2e-3)
    first, second, last = (intervene(model, f"{name}.weights", make_alike) for name in TOKEN_TO_IMAGE)
    with first, second, last:
        np.testing.assert_allclose(rows[0]["ious"][1, 3], overlaps(masks(), unchanged), atol=2e-3)
    assert (np.stack([row["ious"] for row in rows])[..., 0] < 1).any(axis=0).all()  # everywhere it has acted


def test_stored_numbers_are_read() -> None:
    data, numbers = ablation.read(), np.random.default_rng(0)
    n = len(data["prompts"])
    arrays = {
        "exchanged_maps.unchanged": numbers.uniform(size=(n, 3)),
        "exchanged_maps.ious": numbers.uniform(size=(n, len(MAP_WAYS), len(MAP_PLACES), 3)),
    }
    maps = ExchangedMaps(data | arrays)
    for i, way in enumerate(MAP_WAYS):
        for j, place in enumerate(MAP_PLACES):
            for k, measure in enumerate(MAP_MEASURES):
                expected = arrays["exchanged_maps.ious"][:, i, j, k]
                np.testing.assert_array_equal(maps.ious(way, place, measure), expected)
    mean = maps.mean("unchanged", "all three", "among")
    assert mean.mean == pytest.approx(arrays["exchanged_maps.unchanged"][:, 2].mean())
    assert mean.low < mean.mean < mean.high
    for wrong, name in (
        (("turned", "all three", "own"), "way"),
        (("alike", "two", "own"), "place"),
        (("alike", "all three", "all"), "measure"),
    ):
        with pytest.raises(ValueError, match=name):
            maps.mean(*wrong)
    with pytest.raises(ValueError, match=r"lacks the exchanged maps: .* --only maps"):
        ExchangedMaps({name: array for name, array in data.items() if name != "exchanged_maps.unchanged"})
