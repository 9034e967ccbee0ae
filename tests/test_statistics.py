"""Statistics: what is switched off, what is read from the file, when it is refused, and the arithmetic."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import sam_edu
from sam_edu import official, statistics
from sam_edu.sam import load
from sam_edu.statistics import (
    ATTENTIONS,
    FIRST_SCENE,
    HEADS,
    MEASURED,
    SWITCHES,
    TEST_STREAM,
    TOLERANCE,
    Change,
    Prompt,
    Statistics,
    Switch,
    both_scores,
    four_masks,
    ious,
    prompts_again,
    prompts_of,
    recompute,
    scene_and_prompts,
    switched_off,
)
from sam_edu.training import evaluate, switched
from sam_edu.training.scenes import Scene

NAME = "transformer.final_attn_token_to_image head 3 zero"
RNG = np.random.default_rng(0)
PROMPTS = [Prompt(FIRST_SCENE + i // 2, i % 2, i % 2, 10 + i, 20, 300) for i in range(40)]
SHAPES = {
    **dict.fromkeys(("predicted", "iou", "iou_any", "stability", "area"), (len(PROMPTS), 4)),
    "corrections": (2, len(PROMPTS), 8),
    "corrections_without": (len(PROMPTS), 8),
    **dict.fromkeys(("boxes_iou", "boxes_predicted"), (len(PROMPTS),)),
}


def made_up(**other: object) -> dict[str, object]:
    """A file's arrays, with random numbers."""
    data: dict[str, object] = {
        "weights": "0" * 64,
        "definitions": json.dumps({name: switch.definition for name, switch in SWITCHES.items()}),
        "prompts": np.array(PROMPTS),
        "scores": RNG.uniform(size=(1 + len(SWITCHES), len(PROMPTS), 2)).astype(np.float16),
        "entropy": RNG.uniform(size=(len(PROMPTS), 7, 8)),
        "distance": RNG.uniform(size=(len(PROMPTS), 3, 9)),
        "share": RNG.uniform(size=(len(PROMPTS), 3, 9)),
        **{f"prompts.{name}": RNG.uniform(size=shape).astype(np.float32) for name, shape in SHAPES.items()},
        "prompts.area": RNG.integers(0, 60_000, size=(len(PROMPTS), 4), dtype=np.int32),
    }
    return data | other


def test_the_list_holds_what_it_promises() -> None:
    for attention in ATTENTIONS:
        assert f"{attention} off" in SWITCHES
        for how in ("zero", "mean"):
            assert f"{attention} all heads {how}" in SWITCHES
            assert all(f"{attention} head {head} {how}" in SWITCHES for head in range(HEADS))
    for block in ("transformer.layers.0", "transformer.layers.1"):
        assert {f"{block} off", f"{block}.mlp off", f"{block}.mlp half of the units zero"} < set(SWITCHES)
    definitions = [switch.definition for name, switch in SWITCHES.items() if not callable(switch.changes)]
    assert len(set(definitions)) == len(definitions)


def test_attentions_are_those_of_the_decoder() -> None:
    found = [n for n, m in sam_edu.sam.build_mask_decoder().named_modules() if isinstance(m, sam_edu.Attention)]
    assert sorted(found) == sorted(ATTENTIONS)
    assert [name for name in ATTENTIONS if "token_to_image" in name] == list(statistics.TOKEN_TO_IMAGE)


def test_a_tenth_of_the_units_is_part_of_the_half() -> None:
    chosen = {}
    for name in ("a tenth", "half", "all"):
        [change] = SWITCHES[f"transformer.layers.0.mlp {name} of the units zero"].changes  # type: ignore[misc]
        chosen[name] = set(change.select["mlp_dim"])
    assert [len(units) for units in chosen.values()] == [205, 1024, 2048]
    assert chosen["a tenth"] < chosen["half"] < chosen["all"]


def test_prompts_are_held_out_and_lie_on_their_masks() -> None:
    assert evaluate.TEST_STREAMS["ordinary"] == TEST_STREAM
    assert FIRST_SCENE == 1000  # behind the test scenes that give the published scores
    image, masks, prompts = prompts_of(FIRST_SCENE + 1)
    assert image.shape == (256, 256, 3)
    assert prompts
    assert [prompt.level for prompt in prompts] == sorted({prompt.level for prompt in prompts})
    for prompt in prompts:
        assert masks[prompt.mask, prompt.y, prompt.x]
        assert masks[prompt.mask].sum() == prompt.area
    assert prompts_of(FIRST_SCENE + 1)[2] == prompts


def test_effect_is_the_mean_difference_with_an_interval() -> None:
    stats = Statistics(made_up())
    for measure in ("best", "picked"):
        change = stats.scores(NAME, measure) - stats.baseline(measure)
        effect = stats.effect(NAME, measure)
        assert effect.mean == pytest.approx(change.mean())
        assert effect.low < effect.mean < effect.high
        assert effect.prompts == len(PROMPTS) == 40
    assert stats.effect(NAME) == Statistics(made_up(scores=stats._scores)).effect(NAME)


def test_interval_draws_scenes_and_not_clicks() -> None:
    """Two clicks of a scene that always agree tell no more than one."""
    once = RNG.normal(size=20)
    scores = np.zeros((1 + len(SWITCHES), 40, 2))
    scores[1 + list(SWITCHES).index(NAME), :, 0] = np.repeat(once, 2)
    low, high = Statistics(made_up(scores=scores)).effect(NAME)[1:3]
    assert high - low == pytest.approx(2 * 1.96 * once.std() / np.sqrt(20), rel=0.15)


def test_interval_leaves_out_one_fortieth_on_either_side() -> None:
    """As another, longer bootstrap finds it."""
    values, rng = np.repeat(np.random.default_rng(3).exponential(size=20), 2), np.random.default_rng(7)
    means = values[::2][rng.integers(0, 20, (50_000, 20))].mean(axis=1)
    _, low, high, _ = Statistics(made_up()).interval(values)
    width = high - low
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.025 * width)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.025 * width)


def test_no_change_has_no_effect() -> None:
    stats = Statistics(made_up(scores=np.full((1 + len(SWITCHES), 40, 2), 0.5)))
    assert stats.effect(NAME) == (0.0, 0.0, 0.0, 40)
    assert not stats.effect(NAME).clear
    assert statistics.Effect(-0.2, -0.3, -0.1, 40).clear


def test_looks_are_found_by_the_attentions_names() -> None:
    data = made_up()
    stats = Statistics(data)
    last = ATTENTIONS[-1]
    np.testing.assert_array_equal(stats.entropy(last), np.asarray(data["entropy"])[:, 6])
    np.testing.assert_array_equal(stats.distance(last), np.asarray(data["distance"])[:, 2])
    np.testing.assert_array_equal(stats.share(last), np.asarray(data["share"])[:, 2])


@pytest.mark.no_shape_check
def test_wrong_names_are_refused() -> None:
    stats = Statistics(made_up())
    with pytest.raises(KeyError, match=r"no switch of that name; there is transformer\.final"):
        stats.effect("transformer.final_attn_token_to_image head 3")
    with pytest.raises(ValueError, match="expected one of best, picked, got 'worst'"):
        stats.effect(NAME, "worst")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected one of .*token_to_image, got .*self_attn"):
        stats.distance("transformer.layers.0.self_attn")
    with pytest.raises(ValueError, match=r"values: expected 40, one per click, got shape \(3,\)"):
        stats.interval(np.zeros(3))
    with pytest.raises(KeyError, match="no switch of that name"), switched_off(load(), "nothing"):
        pass


def test_what_has_changed_since_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Statistics(made_up())
    new = Switch("something else", (Change("tokens", "zero", {"tokens": 5}),))
    monkeypatch.setitem(SWITCHES, NAME, new)
    with pytest.raises(ValueError, match="has changed since: measure it with python -m"):
        stats.effect(NAME)
    monkeypatch.setitem(SWITCHES, "new", new)
    with pytest.raises(ValueError, match="'new' was not measured"):
        stats.effect("new")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is missing; python -m tools\.make_statistics makes it"):
        statistics.load(tmp_path / "none.npz")


def test_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **made_up(weights=statistics.sha256(weights)))  # type: ignore[arg-type]
    stats = statistics.load(path, weights=weights)
    assert stats.prompts.clicks == tuple(PROMPTS)
    assert repr(stats) == f"<Statistics: {len(SWITCHES)} switches, 40 clicks on 20 held-out scenes>"
    with pytest.raises(ValueError, match=r"measured on other weights .* python -m tools\.make_statistics measures"):
        statistics.load(path)


def test_stored_file_belongs_to_the_weights_and_to_the_list() -> None:
    stats = statistics.load()
    assert stats.names == tuple(SWITCHES)
    assert len(SWITCHES) == 169
    for name in SWITCHES:
        assert stats.scores(name).shape == (len(stats.prompts),)
    assert statistics.stored_at().stat().st_size < 400_000


def test_stored_clicks_are_those_of_scenes_1000_to_1099() -> None:
    clicks = statistics.load().prompts
    assert [prompt.scene for prompt in clicks] == sorted(prompt.scene for prompt in clicks)
    assert {prompt.scene for prompt in clicks} == set(range(1000, 1100))  # each of them has a mask
    assert len(clicks) == 247
    for number in (1000, 1050, 1099):
        assert [prompt for prompt in clicks if prompt.scene == number] == prompts_of(number)[2]


TELLING = [10, 21, 72, 168, 245]
"""Clicks at which the switches differ much, on masks so large that a pixel turned by rounding hardly counts."""


@pytest.fixture(scope="module")
def telling() -> dict[str, set[int]]:
    """For each switch two of the clicks: where its stored score is farthest from the model's as it is, and the one that
    tells it from most of the switches that it is not told from there."""
    stats, found = statistics.load(), {}
    everything = np.stack([stats.baseline(), *map(stats.scores, SWITCHES)])[:, TELLING]
    for name in SWITCHES:
        far = np.abs(everything - stats.scores(name)[TELLING])
        first = int(far[0].argmax())
        apart = far > 2 * TOLERANCE
        second = int((apart | apart[:, [first]]).sum(axis=0).argmax())
        found[name] = {TELLING[first], TELLING[second]}
    return found


def test_the_telling_clicks_tell_every_switch_from_the_others(telling: dict[str, set[int]]) -> None:
    """So that a switch that does no longer what was measured, but something else, cannot hide in the next test."""
    stats = statistics.load()
    everything = np.stack([stats.baseline(), *map(stats.scores, SWITCHES)])
    alike = 0
    for name, clicks in telling.items():
        far = np.abs(everything - stats.scores(name))[:, sorted(clicks)].max(axis=1)
        assert far[0] > 1.9 * TOLERANCE, name  # from the model as it is
        alike += int((far <= 2 * TOLERANCE).sum()) - 1  # but for itself
    assert alike < 0.001 * len(SWITCHES) ** 2


@pytest.fixture(scope="module")
def tiny() -> sam_edu.Sam:
    return load()


@pytest.mark.parametrize("click", TELLING)
def test_every_switch_measured_again_gives_its_stored_score(
    click: int, telling: dict[str, set[int]], tiny: sam_edu.Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = statistics.load()
    prompt = stats.prompts[click]
    names = [name for name in SWITCHES if click in telling[name]]
    image, masks, prompts = prompts_of(prompt.scene)
    assert prompt in prompts
    monkeypatch.setattr(switched, "prompts_of", lambda number: (image, masks, [prompt]))
    [row] = switched.measure_scene(tiny, prompt.scene, names)
    for column, measure in enumerate(("best", "picked")):
        stored = [stats.baseline(measure)[click], *(stats.scores(name, measure)[click] for name in names)]
        wrong = np.abs(row["scores"][:, column] - stored) > TOLERANCE
        # Two of the predictions by which a mask is picked may be a tie.
        assert wrong.sum() <= (1 if measure == "picked" else 0), np.array(["as it is", *names])[wrong]
    for i, attention in enumerate(ATTENTIONS):
        np.testing.assert_allclose(row["entropy"][i], stats.entropy(attention)[click], atol=TOLERANCE)
    for i, attention in enumerate(statistics.TOKEN_TO_IMAGE):
        np.testing.assert_allclose(row["distance"][i], stats.distance(attention)[click], rtol=TOLERANCE)
        np.testing.assert_allclose(row["share"][i], stats.share(attention)[click], atol=TOLERANCE)


def test_a_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    """To unpickle is to run what somebody wrote."""
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **made_up(weights=statistics.sha256(weights), entropy=np.array([{}], dtype=object)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="allow_pickle=False"):
        statistics.load(path, weights=weights)


def test_prompts_are_read_with_their_arrays() -> None:
    data = made_up()
    prompts = Statistics(data).prompts
    assert set(MEASURED) == set(SHAPES)
    for name in MEASURED:
        np.testing.assert_array_equal(getattr(prompts, name), data[f"prompts.{name}"])
        assert getattr(prompts, name).dtype == (np.int64 if name == "area" else np.float64)
    assert prompts.level.tolist() == [prompt.level for prompt in PROMPTS]
    assert list(prompts) == PROMPTS
    assert (len(prompts), prompts[3]) == (40, PROMPTS[3])
    assert repr(prompts) == "<HeldOutPrompts: 40 clicks on 20 held-out scenes>"
    with pytest.raises(AttributeError):
        prompts.iou = prompts.predicted  # type: ignore[misc]


def test_file_without_the_prompts_arrays_is_refused() -> None:
    data = made_up()
    del data["prompts.iou_any"], data["prompts.boxes_iou"]
    with pytest.raises(ValueError, match=r"lacks iou_any, boxes_iou: python -m .*make_statistics --only prompts mea"):
        Statistics(data)


def test_stored_arrays_are_possible() -> None:
    stats = statistics.load()
    prompts = stats.prompts
    for name in ("iou", "iou_any", "stability", "corrections", "corrections_without", "boxes_iou"):
        values = getattr(prompts, name)
        finite = values[~np.isnan(values)]
        assert (finite.size == values.size) or name == "stability"
        assert ((finite >= 0) & (finite <= 1)).all()
    assert np.isfinite(prompts.predicted).all()
    assert np.isfinite(prompts.boxes_predicted).all()
    assert (prompts.iou_any >= prompts.iou).all()
    assert (prompts.iou[prompts.area == 0] == 0).all()
    np.testing.assert_allclose(prompts.iou[:, 1:].max(axis=1), stats.baseline(), atol=TOLERANCE)
    # The first click's score is that of the mask which the IoU head picks.
    picked = prompts.iou[np.arange(len(prompts)), 1 + prompts.predicted[:, 1:].argmax(axis=1)]
    for row in (*prompts.corrections, prompts.corrections_without):
        np.testing.assert_array_equal(row[:, 0], picked)
    assert np.mean(np.abs(picked - stats.baseline("picked")) > TOLERANCE) < 0.01  # two predictions may be a tie


def test_a_sample_of_the_stored_arrays_is_measured_again() -> None:
    prompts, sample = statistics.load().prompts, np.array([0, 123, 246])
    again = prompts_again(load(), sample)
    for name in ("predicted", "iou", "iou_any", "stability"):
        np.testing.assert_allclose(getattr(again, name), getattr(prompts, name)[sample], atol=TOLERANCE)


def test_scores_of_known_masks() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    logits = torch.full((3, 4, 4), -1.0)
    logits[0, :1] = 1.0  # half of it
    logits[1, :3] = 1.0  # too much
    assert both_scores(logits, torch.tensor([0.9, 0.2, 0.1]), mask) == (pytest.approx(2 / 3), 0.5)
    assert both_scores(-torch.ones(3, 4, 4), torch.zeros(3), mask) == (0.0, 0.0)


def test_four_masks_of_known_logits() -> None:
    """On 4 x 4 pixels, an object of two rows, a part of one, and another object; the click means the part."""
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2] = masks[1, :1] = masks[2, 3:] = True
    image = np.zeros((4, 4, 3), np.uint8)
    scene = Scene(image, masks, np.array([0, 1, 0]), np.array([-1, 0, -1]), ("a", "a", "b"))
    logits = torch.full((4, 4, 4), -0.5)
    logits[0, :2] = 2.0  # the object, surely
    logits[1, :1] = 0.5  # the part, hesitantly
    logits[2, 3:] = 2.0  # what was not clicked
    logits[3] = -5.0  # nothing
    row = four_masks(logits, torch.tensor([0.9, 0.8, 0.7, 0.1]), scene, Prompt(0, 1, 1, 2, 0, 4))
    np.testing.assert_allclose(row["predicted"], [0.9, 0.8, 0.7, 0.1], atol=1e-6)
    assert row["iou"].tolist() == [0.5, 1.0, 0.0, 0.0]
    assert row["iou_any"].tolist() == [1.0, 1.0, 0.0, 0.0]
    np.testing.assert_array_equal(row["stability"], [0.5, 0.0, 0.25, np.nan])


def test_stability_is_the_one_of_metas_package() -> None:
    spec = importlib.util.spec_from_file_location("amg", official.package_folder() / "utils" / "amg.py")
    assert spec is not None
    assert spec.loader is not None
    amg = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(amg)
    scene, [prompt, *_] = scene_and_prompts(FIRST_SCENE + 1)
    logits = 3 * torch.randn(4, 256, 256, generator=torch.Generator().manual_seed(0))
    logits[3] = -5.0
    theirs = amg.calculate_stability_score(logits, 0.0, statistics.STABILITY_OFFSET)
    ours = four_masks(logits, torch.zeros(4), scene, prompt)["stability"]
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)
    assert np.isnan(ours[3])


def test_iou_is_the_one_of_the_scores() -> None:
    drawn, mask = RNG.random((3, 8, 8)) > 0.5, RNG.random((8, 8)) > 0.5
    np.testing.assert_allclose(ious(torch.from_numpy(drawn), mask), evaluate.iou(drawn, mask))


def test_switching_off_is_intervening() -> None:
    model, example = load(), sam_edu.example()
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    with switched_off(predictor, NAME):
        switched = predictor.predict(example.click, [1], return_logits=True)[0]
    with sam_edu.intervene(model, "transformer.final_attn_token_to_image.heads", "zero", heads=3):
        by_hand = predictor.predict(example.click, [1], return_logits=True)[0]
    np.testing.assert_array_equal(switched, by_hand)
    assert not np.array_equal(predictor.predict(example.click, [1], return_logits=True)[0], by_hand)


def test_recomputing_a_click_that_is_not_held_out_is_refused() -> None:
    wrong = Prompt(FIRST_SCENE + 1, 0, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="none of the held-out clicks"):
        recompute(load(), NAME, [wrong])
    with pytest.raises(ValueError, match="none of the held-out clicks"):
        prompts_again(load(), [wrong])
