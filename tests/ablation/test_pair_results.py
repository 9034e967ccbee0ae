"""The stored results of the transplants: their arithmetic, what is read from the file, and when it is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from sam_edu import ablation
from sam_edu.ablation import (
    FIRST_SCENE,
    PAIR_ARRAYS,
    PAIR_KINDS,
    PAIR_MEASURES,
    TRANSPLANTS,
    UNCHANGED,
    PairStatistics,
    Prompt,
    Transplant,
    scene_and_pairs,
    sha256,
)
from sam_edu.ablation.pair_measuring import PAIR_SCENES
from sam_edu.evaluation.intervals import SceneBootstrap

NAME = "transformer.layers.0.cross_attn_image_to_token keys and values"
SCENES, PER_KIND = 20, 40
NOTHING, EVERYTHING = "hyper_in", "upscaled image"
RNG = np.random.default_rng(0)


def random_data(**other: object) -> dict[str, object]:
    """A file's arrays: two pairs of each kind on each scene. A transplant does nothing, one does everything."""
    count = PER_KIND * len(PAIR_KINDS)
    scores = RNG.uniform(size=(len(UNCHANGED) + len(TRANSPLANTS), count, len(PAIR_MEASURES)))
    scores[0, :, 0::2] += 3  # A fits A's target mask
    scores[1, :, 1::2] += 3
    names = [*UNCHANGED, *TRANSPLANTS]
    scores[names.index(NOTHING)], scores[names.index(EVERYTHING)] = scores[0], scores[1]
    clicks = np.zeros((count, 2, 6), np.int32)
    clicks[:, :, 0] = FIRST_SCENE + np.arange(count)[:, None] % SCENES
    clicks[:, :, 2] = np.array([[0, 1], [1, 2]])[np.arange(count) // SCENES % 2]
    return {
        # What `ablation.read` asks of a file.
        **{f"{kind}.{part}": "" for kind in ("clicks", "boxes") for part in ("definitions", "unchanged", "changes")},
        "weights": "0" * 64,
        "pairs.definitions": json.dumps({name: one.definition for name, one in TRANSPLANTS.items()}),
        "pairs.clicks": clicks,
        "pairs.kind": np.repeat(np.arange(len(PAIR_KINDS)), PER_KIND),
        "pairs.unchanged": scores[:2],
        "pairs.changes": scores[2:] - scores[0],
    } | other


def test_scores_are_found_by_name_and_measure() -> None:
    data = random_data()
    pairs = PairStatistics(data)
    unchanged = np.asarray(data["pairs.unchanged"])
    stored = [*unchanged, *(unchanged[0] + np.asarray(data["pairs.changes"]))]
    for number, name in enumerate((*UNCHANGED, *TRANSPLANTS)):
        for column, measure in enumerate(PAIR_MEASURES):
            np.testing.assert_array_equal(pairs.scores(name, measure), stored[number][:, column])
    assert repr(pairs) == f"<PairStatistics: {len(TRANSPLANTS)} transplants, 200 pairs on 20 held-out scenes>"
    assert pairs.pairs[PER_KIND].kind == PAIR_KINDS[1]
    assert pairs.pairs[0].b == Prompt(FIRST_SCENE, 0, 1, 0, 0, 0)


def test_means_and_effects_are_of_one_kind_and_level() -> None:
    pairs = PairStatistics(random_data())
    own = np.array([pair.kind == "other object" for pair in pairs.pairs])
    scores, a = (pairs.scores(name, "iou_b") for name in (NAME, "A unchanged"))
    mean = pairs.mean(NAME, kind="other object", measure="iou_b")
    assert mean.mean == pytest.approx(scores[own].mean())
    assert mean.low < mean.mean < mean.high
    assert mean.prompts == own.sum() == PER_KIND
    by_scene = SceneBootstrap([pair.a.scene for pair in pairs.pairs if pair.kind == "other object"])
    assert mean[:3] == by_scene.interval(scores[own])  # scenes are drawn, and not pairs
    effect = pairs.effect(NAME, kind="other object", measure="iou_b")
    assert effect.mean == pytest.approx((scores - a)[own].mean())
    level = np.array([pair.b.level == 2 for pair in pairs.pairs])
    for wanted in (2, "sub-part"):
        some = pairs.effect(NAME, kind="other object", measure="iou_b", level=wanted)
        assert some.mean == pytest.approx((scores - a)[own & level].mean())
        assert some.prompts == (own & level).sum() == PER_KIND // 2


def test_share_is_nothing_for_no_change_and_one_for_all_of_b() -> None:
    pairs = PairStatistics(random_data())
    for measure in PAIR_MEASURES:
        assert pairs.share(NOTHING, kind="other object", measure=measure) == (0, 0, 0, PER_KIND)
        everything = pairs.share(EVERYTHING, kind="other object", measure=measure)
        np.testing.assert_allclose(everything, (1, 1, 1, PER_KIND), rtol=1e-12)


def test_share_is_a_ratio_of_means() -> None:
    pairs = PairStatistics(random_data())
    rows = pairs.of_kind("other object")
    a, b, now = (pairs.scores(name, "margin_b")[rows] for name in (*UNCHANGED, NAME))
    share = pairs.share(NAME, kind="other object", measure="margin_b")
    assert share.mean == pytest.approx((now.mean() - a.mean()) / (b.mean() - a.mean()))
    assert share.low < share.mean < share.high


@pytest.mark.parametrize("measure", ["iou", "margin"])
def test_denoising_restores_and_noising_breaks(measure: str) -> None:
    """Denoising: A is broken, B is good, and B's target mask counts. Noising: A is good, and A's target mask counts."""
    pairs = PairStatistics(random_data())
    for broken, denoised, noised in (
        ("other object", "other object", "other object"),
        ("no click", "no click in A", "no click in B"),
    ):
        found = pairs.denoising(NAME, broken, measure)  # type: ignore[arg-type]
        assert found == pairs.share(NAME, kind=denoised, measure=f"{measure}_b")  # type: ignore[arg-type]
        found = pairs.noising(NAME, broken, measure)  # type: ignore[arg-type]
        assert found == pairs.share(NAME, kind=noised, measure=f"{measure}_a")  # type: ignore[arg-type]
        assert 0 < found.mean < 1.1
    assert pairs.denoising(NAME).prompts == PER_KIND
    assert pairs.denoising(NAME, level="part").prompts == PER_KIND // 2


def test_a_share_of_no_difference_is_refused() -> None:
    data = random_data()
    scores = np.asarray(data["pairs.unchanged"])
    scores[1, :PER_KIND] = scores[0, :PER_KIND] + RNG.normal(size=(PER_KIND, 4)) * 0.1
    pairs = PairStatistics(data)
    with pytest.raises(ValueError, match="iou_b does not differ clearly between A and B for the kind 'same mask'"):
        pairs.share(NAME, kind="same mask", measure="iou_b")
    assert pairs.effect(NAME, kind="same mask", measure="iou_b").prompts == PER_KIND


@pytest.mark.no_shape_check
def test_wrong_names_are_refused() -> None:
    pairs = PairStatistics(random_data())
    with pytest.raises(KeyError, match="no transplant of that name"):
        pairs.scores("step (9)", "iou_a")
    with pytest.raises(ValueError, match="measure: expected one of iou_a, iou_b, margin_a, margin_b, got 'iou'"):
        pairs.scores(NAME, "iou")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"kind: expected one of same mask, .* got 'other'"):
        pairs.effect(NAME, kind="other", measure="iou_a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level: expected one of 0, 1, 2, object, part, sub-part, got 3"):
        pairs.effect(NAME, kind="same mask", measure="iou_a", level=3)
    with pytest.raises(ValueError, match="broken: expected one of other object, no click, got 'noise'"):
        pairs.denoising(NAME, "noise")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="measure: expected one of iou, margin, got 'iou_b'"):
        pairs.noising(NAME, measure="iou_b")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no pair of the kind 'same mask' with a target mask of B that is an object"):
        pairs.of_kind("same mask", "object")


def test_what_has_changed_since_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = PairStatistics(random_data())
    new = Transplant("something else", TRANSPLANTS[NAME].parts)
    monkeypatch.setitem(TRANSPLANTS, NAME, new)
    with pytest.raises(ValueError, match=r"has changed since: measure it with python -m .* --only pairs"):
        pairs.scores(NAME, "iou_a")
    monkeypatch.setitem(TRANSPLANTS, "new", new)
    with pytest.raises(ValueError, match="'new' was not measured"):
        pairs.scores("new", "iou_a")


@pytest.mark.parametrize("name", PAIR_ARRAYS)
def test_a_file_without_pairs_is_refused(name: str) -> None:
    data = random_data()
    del data[name]
    with pytest.raises(ValueError, match=r"lacks the pairs of clicks: python -m .*make_statistics --only pairs mea"):
        PairStatistics(data)


def test_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **random_data(weights=sha256(weights)))  # type: ignore[arg-type]
    assert ablation.load_pairs(path, weights=weights).weights == sha256(weights)
    with pytest.raises(ValueError, match="measured on other weights"):
        ablation.load_pairs(path)


def test_stored_pairs_belong_to_the_weights_the_list_and_the_scenes() -> None:
    pairs = ablation.load_pairs()
    assert pairs.names == tuple(TRANSPLANTS)
    for name in TRANSPLANTS:
        assert pairs.scores(name, "iou_a").shape == (len(pairs.pairs),)
    for number in (FIRST_SCENE, FIRST_SCENE + 30, FIRST_SCENE + PAIR_SCENES - 1):
        assert [pair for pair in pairs.pairs if pair.a.scene == number] == scene_and_pairs(number)[1]
    counts = {kind: len(pairs.of_kind(kind)) for kind in PAIR_KINDS}
    assert all(count >= 150 for count in counts.values()), counts


def test_stored_changes_are_those_whose_answer_is_known() -> None:
    pairs = ablation.load_pairs()
    everything = "transformer.layers.1 tokens and image tokens"
    for column in PAIR_MEASURES:
        b = pairs.scores("B unchanged", column)
        np.testing.assert_allclose(pairs.scores(everything, column), b, atol=0.02, rtol=0.01)
    first, *others = (
        pairs.scores(f"transformer.layers.0{end}", "margin_b")
        for end in (".cross_attn_image_to_token keys and values", ".cross_attn_image_to_token output", " image tokens")
    )
    for same in others:
        np.testing.assert_allclose(same, first, atol=0.02, rtol=0.01)
