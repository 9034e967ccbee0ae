"""The stored statistics: their arithmetic, what is read from the file, and when it is refused."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import ablation
from sam_edu.ablation import (
    ABLATIONS,
    ATTENTIONS,
    BOX_ABLATIONS,
    FIRST_SCENE,
    MEASURED,
    MEASURES,
    TOLERANCE,
    Ablation,
    Change,
    Prompt,
    Statistics,
    prompts_of,
    sha256,
)
from sam_edu.evaluation.intervals import SceneBootstrap

NAME = "transformer.final_attn_token_to_image head 3 zero"
RNG = np.random.default_rng(0)
PROMPTS = [Prompt(FIRST_SCENE + i // 2, i % 2, i % 2, 10 + i, 20, 300) for i in range(40)]
SHAPES = {
    **dict.fromkeys(("predicted", "iou", "iou_any", "stability", "area"), (len(PROMPTS), 4)),
    "corrections": (2, len(PROMPTS), 8),
    "corrections_without": (len(PROMPTS), 8),
    **dict.fromkeys(("boxes_iou", "boxes_predicted"), (len(PROMPTS),)),
}


def measured(kind: str, names: Iterable[str]) -> dict[str, object]:
    definitions = {name: ABLATIONS[name].definition for name in names}
    return {
        f"{kind}.definitions": json.dumps(definitions),
        f"{kind}.unchanged": RNG.uniform(size=(len(PROMPTS), 4)).astype(np.float32),
        f"{kind}.changes": RNG.normal(size=(len(definitions), len(PROMPTS), 4)).astype(np.float16),
    }


def random_data(**other: object) -> dict[str, object]:
    """A file's arrays, with random numbers."""
    data: dict[str, object] = {
        "weights": "0" * 64,
        "prompts": np.array(PROMPTS),
        **measured("clicks", ABLATIONS),
        **measured("boxes", BOX_ABLATIONS),
        "means.hs": RNG.uniform(size=(7, 256)).astype(np.float16),
        "entropy": RNG.uniform(size=(len(PROMPTS), 7, 8)),
        "distance": RNG.uniform(size=(len(PROMPTS), 3, 9)),
        "share": RNG.uniform(size=(len(PROMPTS), 3, 9)),
        **{f"prompts.{name}": RNG.uniform(size=shape).astype(np.float32) for name, shape in SHAPES.items()},
        "prompts.area": RNG.integers(0, 60_000, size=(len(PROMPTS), 4), dtype=np.int32),
    }
    return data | other


def test_effect_is_the_mean_difference_with_an_interval() -> None:
    data = random_data()
    stats = Statistics(data)
    for measure in MEASURES:
        change = stats.scores(NAME, measure) - stats.baseline(measure)
        effect = stats.effect(NAME, measure)
        assert effect.mean == pytest.approx(change.mean())
        assert effect.low < effect.mean < effect.high
        assert effect.prompts == len(PROMPTS) == 40
    same = {name: data[name] for name in ("clicks.unchanged", "clicks.changes")}
    assert stats.effect(NAME) == Statistics(random_data(**same)).effect(NAME)


def test_what_was_measured_is_found_by_name_measure_and_prompt() -> None:
    data = random_data()
    stats, name = Statistics(data), BOX_ABLATIONS[7]
    for column, measure in enumerate(MEASURES):
        for kind, names in (("clicks", list(ABLATIONS)), ("boxes", list(BOX_ABLATIONS))):
            unchanged = np.asarray(data[f"{kind}.unchanged"], np.float64)[:, column]
            changes = np.asarray(data[f"{kind}.changes"], np.float64)[names.index(name), :, column]
            np.testing.assert_array_equal(stats.baseline(measure, prompts=kind), unchanged)  # type: ignore[arg-type]
            np.testing.assert_array_equal(stats.changes(name, measure, prompts=kind), changes)  # type: ignore[arg-type]
            np.testing.assert_array_equal(stats.scores(name, measure, prompts=kind), unchanged + changes)  # type: ignore[arg-type]
    short = f"{ATTENTIONS[2]} head 3 mean"
    assert stats.effect(short) == stats.effect(f"{short} by position")
    assert stats.box_names == BOX_ABLATIONS
    assert stats.means.mean("hs").dtype == torch.float32
    np.testing.assert_array_equal(stats.means.mean("hs"), np.asarray(data["means.hs"], np.float32))


def test_a_level_is_measured_on_its_own_clicks_and_scenes() -> None:
    stats = Statistics(random_data())
    for number, level in enumerate(("object", "part")):
        chosen = np.array([prompt.level == number for prompt in PROMPTS])
        for given in (number, level):
            np.testing.assert_array_equal(stats.baseline("margin", given), stats.baseline("margin")[chosen])  # type: ignore[arg-type]
            effect = stats.effect(NAME, "margin", given)  # type: ignore[arg-type]
            assert effect.mean == pytest.approx(stats.changes(NAME, "margin")[chosen].mean())
            assert effect.prompts == chosen.sum() == 20
        scenes = [prompt.scene for prompt in PROMPTS if prompt.level == number]
        assert effect[1:3] == SceneBootstrap(scenes).interval(stats.changes(NAME, "margin")[chosen])[1:]
        assert stats.interval(np.ones(20), level).mean == 1  # type: ignore[arg-type]


def test_interval_draws_scenes_and_not_clicks() -> None:
    """Two clicks of a scene that always agree hold no more information than one."""
    once = RNG.normal(size=20)
    changes = np.zeros((len(ABLATIONS), 40, 4))
    changes[list(ABLATIONS).index(NAME), :, 0] = np.repeat(once, 2)
    low, high = Statistics(random_data(**{"clicks.changes": changes})).effect(NAME)[1:3]
    assert high - low == pytest.approx(2 * 1.96 * once.std() / np.sqrt(20), rel=0.15)


def test_interval_leaves_out_one_fortieth_on_either_side() -> None:
    """As another, longer bootstrap finds it."""
    values, rng = np.repeat(np.random.default_rng(3).exponential(size=20), 2), np.random.default_rng(7)
    means = values[::2][rng.integers(0, 20, (50_000, 20))].mean(axis=1)
    _, low, high, _ = Statistics(random_data()).interval(values)
    width = high - low
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.025 * width)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.025 * width)


def test_no_change_has_no_effect() -> None:
    stats = Statistics(random_data(**{"clicks.changes": np.zeros((len(ABLATIONS), 40, 4))}))
    assert stats.effect(NAME) == (0.0, 0.0, 0.0, 40)
    assert not stats.effect(NAME).clear
    assert ablation.Effect(-0.2, -0.3, -0.1, 40).clear


def test_attention_statistics_are_found_by_the_attentions_names() -> None:
    data = random_data()
    stats = Statistics(data)
    last = ATTENTIONS[-1]
    np.testing.assert_array_equal(stats.entropy(last), np.asarray(data["entropy"])[:, 6])
    np.testing.assert_array_equal(stats.distance(last), np.asarray(data["distance"])[:, 2])
    np.testing.assert_array_equal(stats.share(last), np.asarray(data["share"])[:, 2])


@pytest.mark.no_shape_check
def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(TypeError, match="path: expected a path, got 3"):
        ablation.load(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz is missing"):
        ablation.load("nowhere.npz")  # type: ignore[arg-type]


@pytest.mark.no_shape_check
def test_wrong_names_are_refused() -> None:
    stats = Statistics(random_data())
    with pytest.raises(KeyError, match=r"no ablation of that name; there is transformer\.final"):
        stats.effect("transformer.final_attn_token_to_image head 3")
    with pytest.raises(ValueError, match=r"measure: expected one of best, .*, got 'worst'"):
        stats.effect(NAME, "worst")  # type: ignore[arg-type]
    for level in ("whole", 3, True):
        with pytest.raises(ValueError, match=f"level: expected one of 0, 1, 2, object, part, sub-part, got {level!r}"):
            stats.effect(NAME, level=level)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompts: expected one of clicks, boxes, got 'masks'"):
        stats.effect(NAME, prompts="masks")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="was not measured for boxes: measure it with python -m"):
        stats.effect(NAME, prompts="boxes")
    with pytest.raises(ValueError, match=r"expected one of .*token_to_image, got .*self_attn"):
        stats.distance("transformer.layers.0.self_attn")
    with pytest.raises(ValueError, match=r"values: expected 40, one per click, got shape \(3,\)"):
        stats.interval(np.zeros(3))


def test_what_has_changed_since_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Statistics(random_data())
    new = Ablation("something else", (Change("tokens", "zero", {"tokens": 5}),))
    monkeypatch.setitem(ABLATIONS, NAME, new)
    with pytest.raises(ValueError, match="has changed since: measure it with python -m"):
        stats.effect(NAME)
    monkeypatch.setitem(ABLATIONS, "new", new)
    with pytest.raises(ValueError, match="'new' was not measured for clicks"):
        stats.effect("new")


@pytest.mark.parametrize("missing", ["clicks.changes", "boxes.unchanged", "boxes.definitions"])
def test_a_file_of_before_is_refused(tmp_path: Path, missing: str) -> None:
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    data = random_data(weights=sha256(weights))
    del data[missing]
    np.savez(path, **data)  # type: ignore[arg-type]
    for read in (ablation.load, ablation.read):
        with pytest.raises(
            ValueError, match=f"lack {missing}: an earlier .* python -m tools.make_statistics makes them"
        ):
            read(path, weights=weights)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is missing; python -m tools\.make_statistics makes it"):
        ablation.load(tmp_path / "none.npz")


def test_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **random_data(weights=sha256(weights)))  # type: ignore[arg-type]
    stats = ablation.load(path, weights=weights)
    assert stats.prompts.clicks == tuple(PROMPTS)
    assert repr(stats) == f"<Statistics: {len(ABLATIONS)} ablations, 40 clicks on 20 held-out scenes>"
    with pytest.raises(ValueError, match=r"measured on other weights .* python -m tools\.make_statistics measures"):
        ablation.load(path)


def test_stored_file_belongs_to_the_weights_and_to_the_list() -> None:
    stats = ablation.load()
    assert stats.names == tuple(ABLATIONS)
    assert stats.box_names == BOX_ABLATIONS
    for name in ABLATIONS:
        assert stats.scores(name).shape == (len(stats.prompts),)
    for name in BOX_ABLATIONS:
        assert stats.scores(name, prompts="boxes").shape == (len(stats.prompts),)
    assert ablation.stored_at().stat().st_size < 3_000_000  # it stays in every clone, once for each time it is measured


def test_stored_clicks_are_those_of_scenes_1000_to_1099() -> None:
    clicks = ablation.load().prompts
    assert [prompt.scene for prompt in clicks] == sorted(prompt.scene for prompt in clicks)
    assert {prompt.scene for prompt in clicks} == set(range(1000, 1100))  # each of them has a mask
    assert len(clicks) == 247
    for number in (1000, 1050, 1099):
        assert [prompt for prompt in clicks if prompt.scene == number] == prompts_of(number)[2]


def test_a_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    """To unpickle is to run what somebody wrote."""
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **random_data(weights=sha256(weights), entropy=np.array([{}], dtype=object)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="allow_pickle=False"):
        ablation.load(path, weights=weights)


def test_prompts_are_read_with_their_arrays() -> None:
    data = random_data()
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
    data = random_data()
    del data["prompts.iou_any"], data["prompts.boxes_iou"]
    with pytest.raises(ValueError, match=r"lacks iou_any, boxes_iou: python -m .*make_statistics --only prompts mea"):
        Statistics(data)


def test_stored_arrays_are_possible() -> None:
    stats = ablation.load()
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
    np.testing.assert_allclose(stats.baseline("best", prompts="boxes"), prompts.boxes_iou, atol=TOLERANCE)
    np.testing.assert_array_equal(stats.baseline("best", prompts="boxes"), stats.baseline("picked", prompts="boxes"))
    np.testing.assert_allclose(stats.baseline("predicted", prompts="boxes"), prompts.boxes_predicted, atol=TOLERANCE)
    best = 1 + prompts.iou[:, 1:].argmax(axis=1)
    predicted = prompts.predicted[np.arange(len(prompts)), best]
    assert np.mean(np.abs(predicted - stats.baseline("predicted")) > TOLERANCE) < 0.02  # two masks may be equally good
