"""What is measured of the hidden units: what is chosen and drawn, and that a row is what interventions give."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, SETS, UNIT_ARRAYS, hidden_unit_measuring, prompts_of
from sam_edu.ablation.controls import reshuffled, untrained
from sam_edu.ablation.hidden_unit_measuring import (
    POINTS,
    Plan,
    exits,
    firing_of_scene,
    measure_hidden_units,
    plan_of,
    replacements,
    shared_units,
    units_of_scene,
    update_lengths,
    update_without_relu,
    without_relu,
)
from sam_edu.ablation.hidden_units import DEFINITION, DRAWN_MEASURES, DRAWS, DRAWS_AT_CLICK, NO_RELU, SIZES
from sam_edu.ablation.references import decoder_inputs, other_prompt, traces_of
from sam_edu.ablation.scoring import Scorer
from sam_edu.modules import MLPBlock
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load, tiny_weights
from sam_edu.tracing import Trace, intervene, trace

NUMBER = FIRST_SCENE + 4


@pytest.fixture(scope="module")
def model() -> Sam:
    return load()


@pytest.fixture(scope="module")
def predictor(model: Sam) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(prompts_of(NUMBER)[0])
    return predictor


def traced(model: Sam, predictor: Predictor) -> Trace:
    """The first click of the scene, by the plain decoder."""
    with torch.no_grad(), trace(model) as t:
        model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompts_of(NUMBER)[2][0]))
    return t


def some_hidden(clicks: int = 40) -> np.ndarray:
    """Activations (clicks, blocks, tokens, units) of units that fire at every, some or no click."""
    rng = np.random.default_rng(0)
    rates = np.repeat([0.0, 0.03, 0.1, 0.4, 0.9], [900, 300, 300, 300, 248])
    fires = rng.uniform(size=(clicks, 2, 1, 2048)) < rates
    return np.where(fires, rng.uniform(0.5, 1, size=(clicks, 2, 7, 2048)), 0).astype(np.float32)


# --- What is chosen and drawn ---


def test_each_half_reports_what_the_other_chose() -> None:
    hidden, odd = some_hidden(), np.arange(40) % 2 == 1
    hidden[odd, 0, 3, 11] += 100.0 * np.arange(20)  # varies in scenes of odd numbers alone
    hidden[~odd, 1, 6, 12] += 100.0 * np.arange(20)
    hidden[:, 0, :, 13] = 5000.0  # is large and does not vary
    plan = plan_of(hidden, odd, np.ones((2, 2048)))
    assert plan.chosen[0, 0, 0] == 11
    assert plan.chosen[1, 1, 0] == 12
    assert 11 not in plan.chosen[1, 0, :1]
    assert 13 not in plan.chosen[:, 0]
    np.testing.assert_allclose(plan.means, hidden.mean(0), rtol=1e-5)
    assert plan.chosen.shape == (2, 2, SIZES[-1])


def test_long_columns_count_more() -> None:
    columns = np.ones((2, 2048))
    columns[:, 1500] = 1000
    plan = plan_of(some_hidden(), np.arange(40) % 2 == 1, columns)
    assert (plan.chosen[:, :, 0] == 1500).all()


def test_draws_fire_as_often_as_the_chosen_units() -> None:
    hidden, odd = some_hidden(), np.arange(40) % 2 == 1
    plan = plan_of(hidden, odd, np.ones((2, 2048)))
    for reports, chooses in ((0, odd), (1, ~odd)):
        rates = (hidden[chooses] > 0).any(2).mean(0)
        for size in SIZES:
            drawn = plan.drawn[size][reports]
            assert drawn.shape == (DRAWS, 2, size)
            assert len(np.unique(drawn[:, 0], axis=0)) == DRAWS
            for block in range(2):
                chosen = np.sort(np.searchsorted((0, 0.05, 0.2, 0.5), rates[block, plan.chosen[reports, block, :size]]))
                for units in drawn[:, block]:
                    assert len(set(units.tolist())) == size
                    np.testing.assert_array_equal(
                        np.sort(np.searchsorted((0, 0.05, 0.2, 0.5), rates[block, units])), chosen
                    )


def test_scenes_of_one_kind_cannot_choose() -> None:
    for odd in (np.ones(40, bool), np.zeros(40, bool)):
        with pytest.raises(ValueError, match="of even and some of odd"):
            plan_of(some_hidden(), odd, np.ones((2, 2048)))


# --- Which units fire ---


def test_a_scene_has_the_activations_of_the_trace(model: Sam, predictor: Predictor) -> None:
    rows, prompts = firing_of_scene(model, NUMBER), prompts_of(NUMBER)[2]
    assert [tuple(row["prompt"]) for row in rows] == prompts
    t = traced(model, predictor)
    for block, point in enumerate(POINTS):
        np.testing.assert_allclose(rows[0]["hidden"][block], t[point][0].numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_array_equal(rows[0]["fires"][0], rows[0]["hidden"] > 0)
    make = torch.Generator().manual_seed
    for i, control in enumerate((untrained(model, generator=make(0)), reshuffled(model, generator=make(0))), start=1):
        [t_control] = traces_of(control, prompts[:1])
        fires = np.stack([t_control[point][0].numpy() > 0 for point in POINTS])
        assert (rows[0]["fires"][i] != fires).mean() < 1e-3  # a value near zero may round to either side
        np.testing.assert_allclose(rows[0]["exits"][i], exits(control.mask_decoder, t_control["hs"][0]), atol=0.01)
    [t_box] = traces_of(model, prompts[:1], boxes=True)
    at_box = np.stack([(t_box[point][0] > 0).any(0).numpy() for point in POINTS])
    assert (rows[0]["at_box"] != at_box).mean() < 1e-3


def test_exits_count_both_hidden_layers(model: Sam, predictor: Predictor) -> None:
    t = traced(model, predictor)
    found = exits(model.mask_decoder, t["hs"][0])
    assert found.shape == (5, 2)
    mlp = model.mask_decoder.output_hypernetworks_mlps[1]
    first = F.relu(mlp.layers[0](t["hs"][0, 2]))
    second = F.relu(mlp.layers[1](first))
    assert found[2] == pytest.approx([float((first > 0).float().mean()), float((second > 0).float().mean())], abs=0.005)
    traced_weights = mlp.layers[2](second)
    torch.testing.assert_close(traced_weights, t["hyper_in"][0, 1], atol=1e-4, rtol=1e-4)


def test_shared_units_of_known_sets() -> None:
    fires = np.zeros((3, 2, 8), bool)
    fires[0, 0, :4] = fires[0, 1, 2:4] = True  # click 0, scene 1: 4 units, 2 of them also for the other token
    fires[1, 0, :1] = fires[1, 1, 4:] = True  # click 1, scene 2
    fires[2, 0, 7] = True  # click 2, scene 2: no unit fires for its other token
    found = shared_units(fires, np.array([1, 2, 2]))
    np.testing.assert_allclose(found[0, 0], (2 / 4 + 2 / 2) / 2)
    # The same token on the other scene: of (0, 0) with clicks 1 and 2; of (0, 1) with both.
    np.testing.assert_allclose(found[0, 1], (1 / 4 + 0 + 0 + 0) / 4)
    np.testing.assert_allclose(found[0, 2], (0 + 0 + 0 + 0) / 4)
    np.testing.assert_allclose(found[2], [0, 0, 0])  # of the token that has a unit, number 7


def test_lengths_are_of_what_is_added_and_of_what_differs() -> None:
    hidden = np.zeros((2, 2, 7, 2048), np.float32)
    hidden[:, 0, 0, 5] = [1.0, 3.0]
    weight = np.zeros((256, 2048))
    weight[:2, 5] = [3.0, 4.0]
    found = update_lengths(hidden, [weight, weight])
    np.testing.assert_allclose(found[:, 0, 0], [[25, 25], [225, 25]])  # lengths 5 and 15; 10 is the mean
    assert not found[:, 1].any()


# --- What the masks lose ---


def test_replacements_change_the_set_or_all_but_the_set() -> None:
    units, values = np.array([[1, 5], [2, 7]]), torch.full((2, 7, 2048), 9.0)
    for others in (False, True):
        for block, change in enumerate(replacements(units, values, others)):
            assert change.point == POINTS[block]
            hidden = change.how(torch.zeros(1, 7, 2048))  # type: ignore[operator]
            replaced = np.isin(np.arange(2048), units[block]) != others
            np.testing.assert_array_equal((hidden == 9).all(1)[0].numpy(), replaced)


def small_plan() -> Plan:
    chosen = np.stack([np.stack([np.arange(start, start + SIZES[-1]) for start in (0, 300)])] * 2)
    drawn = {size: np.tile((np.arange(size) + 700)[None, None, None], (2, DRAWS, 2, 1)) for size in SIZES}
    return Plan(chosen, drawn, np.full((2, 7, 2048), 0.05, np.float32))


def test_a_scene_is_what_interventions_give(model: Sam, predictor: Predictor) -> None:
    plan = small_plan()
    [row, *_] = units_of_scene(model, NUMBER, plan)
    _, masks, prompts = prompts_of(NUMBER)
    t, inputs = traced(model, predictor), decoder_inputs(predictor, prompts[0])
    score = Scorer(t["masks"][0], t["iou_pred"][0], masks[prompts[0].mask])
    before = np.array(score(t["masks"][0], t["iou_pred"][0]))
    [other] = traces_of(model, [other_prompt(prompts[0])])

    def changed(units: np.ndarray, way: str) -> np.ndarray:
        def replace(hidden: Tensor, block: int) -> Tensor:
            value = other[POINTS[block]][0] if way == "resample" else torch.full((7, 2048), 0.05)
            chosen = torch.from_numpy(np.isin(np.arange(2048), units[block]))
            return torch.where(chosen != (way == "others mean"), value, hidden)

        with (
            torch.no_grad(),
            intervene(model, POINTS[0], lambda x: replace(x, 0)),
            intervene(model, POINTS[1], lambda x: replace(x, 1)),
            trace(model) as after,
        ):
            model.mask_decoder.predict_masks(**inputs)
        return np.array(score(after["masks"][0], after["iou_pred"][0])) - before

    tolerance = np.array([2e-3, 2e-3, 1e-2, 1e-3])
    for i, (way, size) in enumerate(SETS):
        assert (abs(row["sets"][i] - changed(plan.chosen[0][:, :size], way)) <= tolerance).all()
        drawn = changed(plan.drawn[size][0][0], way)[[0, 2]]
        assert (abs(row["drawn"][i][0] - drawn) <= tolerance[[0, 2]]).all()
    assert abs(row["sets"]).max() > 0.05
    assert row["no_relu"].shape == (len(NO_RELU), 4)
    assert row["drawn"].shape == (len(SETS), DRAWS_AT_CLICK, len(DRAWN_MEASURES))


def test_without_relu_the_update_is_linear_and_the_controls_keep_length_or_direction() -> None:
    block, x = MLPBlock(6, 11, nn.ReLU), torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        bias = block.lin2.bias
        usual, linear = block(x) - bias, block.lin2(block.lin1(x)) - bias
        found = [update_without_relu(block, x, way) - bias for way in NO_RELU]
        torch.testing.assert_close(found[0], linear)
        torch.testing.assert_close(found[1].norm(dim=-1), usual.norm(dim=-1))
        torch.testing.assert_close(F.cosine_similarity(found[1], linear, dim=-1), torch.ones(2, 3))
        torch.testing.assert_close(found[2].norm(dim=-1), linear.norm(dim=-1))
        torch.testing.assert_close(F.cosine_similarity(found[2], usual, dim=-1), torch.ones(2, 3))
    with pytest.raises(ValueError, match="way: expected one of without ReLU"):
        update_without_relu(block, x, "with GELU")


def test_without_relu_is_the_decoder_with_one_layer_for_its_mlp(model: Sam, predictor: Predictor) -> None:
    inputs = decoder_inputs(predictor, prompts_of(NUMBER)[2][0])
    linear = load()
    for layer in linear.mask_decoder.transformer.layers:  # type: ignore[union-attr]
        layer.mlp.act = nn.Identity()  # type: ignore[union-attr, assignment]
    with torch.no_grad():
        expected, _ = linear.mask_decoder.predict_masks(**inputs)
        changes = without_relu(model.mask_decoder, NO_RELU[0])
        with (
            changes[0].carry_out(model, ablation.References()),
            changes[1].carry_out(model, ablation.References()),
            changes[2].carry_out(model, ablation.References()),
            changes[3].carry_out(model, ablation.References()),
        ):
            found, _ = model.mask_decoder.predict_masks(**inputs)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=1e-3)


# --- The arrays of the file ---


def test_two_scenes_are_measured_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_unit_measuring, "SETS", SETS[:1])
    monkeypatch.setattr(hidden_unit_measuring, "MIRROR_SCENES", 1)
    found = measure_hidden_units(tiny_weights(), 2, progress=False)
    assert {name for name in found if name.startswith("units.")} == set(UNIT_ARRAYS)
    stored = ablation.read()
    n = len(found["prompts"])
    np.testing.assert_array_equal(found["prompts"], stored["prompts"][:n])
    assert found["units.sets"].shape == (n, 1, 4)
    assert found["units.drawn"].shape == (n, 1, DRAWS_AT_CLICK, 2)
    assert found["units.mirror_scenes"].tolist() == [FIRST_SCENE]
    assert str(found["units.definition"]) == DEFINITION
    rates = found["units.rates"].astype(float)
    assert 0.3 < (rates[2] > 0).mean() <= 1  # half of the units fire for a token of the untrained model, more for any
    assert (rates[0] > 0).mean() < (rates[2] > 0).mean()
