"""What is measured of the product: against the plain predictor, and how it is stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ablation_cases import predicted
from scipy import ndimage

from sam_edu import ablation
from sam_edu.ablation import FIRST_SCENE, PRODUCT_ARRAYS, WAYS, product_measuring, sha256
from sam_edu.ablation.channels import VALUES, WEIGHTS
from sam_edu.ablation.held_out import join
from sam_edu.ablation.measuring import Row, rows_of_scenes, store
from sam_edu.ablation.outline_fits import fitted_iou
from sam_edu.ablation.product_measuring import (
    FURTHER,
    OTHERS,
    means_of,
    measure_product,
    outlines_of_scene,
    product_of_scene,
    sums_of_further_scene,
    sums_of_scene,
)
from sam_edu.ablation.product_results import ORDERS, PARTS, REGIONS
from sam_edu.ablation.product_ways import ProductMeans
from sam_edu.ablation.token_crossing import STRIDE, crossed
from sam_edu.evaluation.boundary import boundary_iou
from sam_edu.sam import Sam, tiny_weights
from sam_edu.tracing import Trace

NUMBER = FIRST_SCENE + 5
CLICK = 1


@pytest.fixture(scope="module", autouse=True)
def few_lots() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product_measuring, "LOTS", 2)
        yield


@pytest.fixture(scope="module")
def means(model: Sam) -> ProductMeans:
    return means_of(sums_of_scene(model, NUMBER + 1))


@pytest.fixture(scope="module")
def row(model: Sam, means: ProductMeans) -> Row:
    return product_of_scene(model, NUMBER, means)[CLICK]


@pytest.fixture(scope="module")
def plain(model: Sam) -> Trace:
    """The predictor's own decode of the click."""
    return decoded(model, NUMBER, CLICK)


def decoded(model: Sam, number: int, click: int) -> Trace:
    image, _, prompts = ablation.prompts_of(number)
    return predicted(model, image, prompts[click])


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_means_are_over_all_clicks_of_the_scenes(model: Sam, means: ProductMeans) -> None:
    clicks = range(len(ablation.prompts_of(NUMBER + 1)[2]))
    decodes = [decoded(model, NUMBER + 1, i) for i in clicks]
    features = np.concatenate([t[VALUES][0].flatten(1).numpy() for t in decodes], axis=1).astype(np.float64)
    weights = np.stack([t[WEIGHTS][0].numpy() for t in decodes])
    for c in (0, 17, 31):
        assert means.silent[c] == pytest.approx(features[c][features[c] < 0].mean(), rel=1e-4)
        assert means.loud[c] == pytest.approx(features[c][features[c] > 0].mean(), rel=1e-4)
        assert means.every[c] == pytest.approx(features[c].mean(), rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(means.weights, weights.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(means.other_weights, weights, rtol=1e-4, atol=1e-4)
    terms = np.stack([(t[WEIGHTS][0][..., None, None] * t[VALUES]).numpy() for t in decodes])
    np.testing.assert_allclose(means.terms, terms.mean((0, 3, 4)), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(means.term_sizes, np.abs(terms).mean((0, 3, 4)), rtol=1e-3)
    tokens = np.stack([t["hs"][0, 1:5].numpy() for t in decodes])
    np.testing.assert_allclose(means.tokens, tokens.mean(0), rtol=1e-3, atol=1e-4)


def test_means_are_of_scenes_that_are_not_measured(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    monkeypatch.setattr(product_measuring, "sums_of_scene", lambda model, number: numbers.append(number) or [])
    for i in range(OTHERS):
        sums_of_further_scene(model, FIRST_SCENE + i)
    assert min(numbers) >= FIRST_SCENE + max(ablation.SCENES, FURTHER)


def test_ways_are_compared_with_the_decoders_own_masks(row: Row, plain: Trace, means: ProductMeans) -> None:
    features, weights = plain[VALUES][0].numpy(), plain[WEIGHTS][0].numpy()
    own = plain["masks"][0].numpy() > 0
    silent = np.where(features < 0, means.silent.numpy()[:, None, None], features)
    for way, new in (("silent features constant", silent), ("silent features zero", np.maximum(features, 0))):
        logits = np.einsum("mc,chw->mhw", weights, new)
        expected = [iou(one > 0, mask) for one, mask in zip(logits, own, strict=True)]
        np.testing.assert_allclose(row["kept"][list(WAYS).index(way)], expected, atol=2e-3)


def test_parts_sum_to_the_logits(row: Row, plain: Trace) -> None:
    logits = plain["masks"][0].numpy()
    assert row["parts"].shape == (len(PARTS), len(REGIONS), 4)
    for m in range(4):
        inside = logits[m] > 0
        np.testing.assert_allclose(row["parts"][:, 0, m].sum(), logits[m][inside].mean(), rtol=1e-3)
        np.testing.assert_allclose(row["parts"][:, 1, m].sum(), logits[m][~inside].mean(), rtol=1e-3)
    quiet = np.einsum("mc,chw->mhw", plain[WEIGHTS][0].numpy(), np.minimum(plain[VALUES][0].numpy(), 0))
    np.testing.assert_allclose(row["parts"][0, 2], quiet.std((1, 2)), rtol=1e-3)


def test_the_mask_that_fits_the_target_best_is_followed(row: Row, plain: Trace) -> None:
    _, masks, prompts = ablation.prompts_of(NUMBER)
    fits = [iou(one > 0, masks[prompts[CLICK].mask]) for one in plain["masks"][0, 1:].numpy()]
    assert row["best"] == 1 + int(np.argmax(fits))


def test_growth_ends_with_the_whole_mask_and_begins_with_one_term(row: Row, plain: Trace, means: ProductMeans) -> None:
    best = int(row["best"])
    terms = (plain[WEIGHTS][0, best][:, None, None] * plain[VALUES][0]).numpy()
    own = plain["masks"][0, best].numpy() > 0
    np.testing.assert_allclose(row["growth"][:, -1], 1.0, atol=2e-3)
    sizes = np.abs(terms).mean((1, 2))
    orders = {"largest first": np.argsort(-sizes), "smallest first": np.argsort(sizes)}
    orders["largest first on other scenes"] = np.argsort(-means.term_sizes[best].numpy())
    for name, order in orders.items():
        for count in (1, 5, 20):
            sampled = iou(terms[order[:count], ::STRIDE, ::STRIDE].sum(0) > 0, own[::STRIDE, ::STRIDE])
            assert row["growth"][ORDERS.index(name), count - 1] == pytest.approx(sampled, abs=5e-3)


def test_channels_join_in_the_order_that_is_named() -> None:
    """The larger a term here, the smaller it is on other scenes."""
    terms = torch.randn(6, 9, 9, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7)[:, None, None]
    growth = product_measuring._growth(terms, torch.arange(6.0, 0, -1), torch.Generator().manual_seed(0))
    found = dict(zip(ORDERS, growth.tolist(), strict=True))
    assert found["largest first on other scenes"] == found["smallest first"] != found["largest first"]


def test_terms_are_larger_than_zero_in_both_zones(row: Row, plain: Trace) -> None:
    best = int(row["best"])
    terms = (plain[WEIGHTS][0, best][:, None, None] * plain[VALUES][0]).abs().numpy()
    np.testing.assert_allclose(row["terms"][0], terms.mean((1, 2)), rtol=1e-3)
    own = plain["masks"][0, best].numpy() > 0
    structure = np.ones((9, 9), bool)  # four pixels either way
    band = ndimage.binary_dilation(own, structure) & ndimage.binary_dilation(~own, structure)
    np.testing.assert_allclose(row["terms"][1], terms[:, band].mean(1), rtol=1e-3)


def test_each_channel_becomes_its_mean(row: Row, plain: Trace, means: ProductMeans) -> None:
    best = int(row["best"])
    terms = (plain[WEIGHTS][0, best][:, None, None] * plain[VALUES][0]).numpy()
    logits = plain["masks"][0, best].numpy()
    costly = int(row["channels"][0].argmin())
    for c in (costly, 3):
        changed = logits - terms[c] + means.terms[best, c].item() > 0
        assert row["channels"][0, c] == pytest.approx(iou(changed, logits > 0), abs=2e-3)
        assert row["channels"][1, c] == pytest.approx(float(boundary_iou(changed[None], logits > 0)[0]), abs=5e-3)
    assert row["channels"][0, costly] < 0.98  # it has acted


def test_where_nothing_is_drawn_no_number_is_missing() -> None:
    """An empty mask has no edge, and its inside has no pixels; a channel that leaves it empty loses nothing."""
    terms, nothing = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(8, 8) > 0
    for mask in (nothing, ~nothing):
        sizes = product_measuring._term_sizes(terms, mask)
        torch.testing.assert_close(sizes[1], terms.abs().mean((1, 2)))
        parts = product_measuring._parts(torch.ones(4, 3), terms.flatten(1), mask.flatten().expand(4, -1))
        assert parts.isfinite().all()
    lost = product_measuring._channels(torch.full((8, 8), -100.0), terms, torch.zeros(3))
    assert (lost == 1).all()


def test_what_is_drawn_at_a_click_depends_on_its_scene_and_mask() -> None:
    clicks = [ablation.Prompt(scene, mask, 0, 0, 0, 1) for scene in (1000, 1001) for mask in (0, 1)]
    assert len({product_measuring.hash_of(click) for click in clicks}) == len(clicks)


def test_the_clicks_own_tokens_are_crossed_and_the_mean_of_all_mask_tokens(
    model: Sam, row: Row, plain: Trace, means: ProductMeans
) -> None:
    mlps, tokens = model.mask_decoder.output_hypernetworks_mlps, plain["hs"][0, 1:5]
    features = plain[VALUES][0, :, ::STRIDE, ::STRIDE].flatten(1)
    real = crossed(mlps, tokens, means.tokens.mean(0), features)
    np.testing.assert_allclose(row["crossings"], real.crossings, atol=2e-3)
    np.testing.assert_allclose(row["tokens"], real.tokens, atol=2e-3)
    first = crossed(mlps, tokens, means.tokens[0], features)
    assert not np.allclose(first.tokens, real.tokens, atol=1e-2)  # one token's mean is another


def test_tokens_are_crossed_with_trained_and_with_reshuffled_mlps(row: Row) -> None:
    assert row["crossings"].shape == (3,)
    assert row["tokens"].shape == (2, 4)
    assert row["reshuffled"].shape == (2, 11)
    assert not np.allclose(row["reshuffled"][0], row["reshuffled"][1])
    assert not np.allclose(row["reshuffled"][0, :3], row["crossings"])


def test_a_pair_of_objects_is_fitted_where_a_scene_has_one(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = outlines_of_scene(model, NUMBER)
    own_a, own_b, crossed, elsewhere, *_, written = found["fits"]
    assert min(own_a, own_b) > 0.8
    assert elsewhere < crossed
    assert written < 0.5
    scene, pairs = ablation.scene_and_pairs(NUMBER)
    pair = next(pair for pair in pairs if pair.kind == "other object")
    a, b = (predicted(model, scene.image, click) for click in (pair.a, pair.b))
    target_a, target_b = scene.masks[pair.a.mask], scene.masks[pair.b.mask]
    assert own_a == pytest.approx(fitted_iou(a[VALUES][0], target_a), abs=0.01)
    assert own_b == pytest.approx(fitted_iou(b[VALUES][0], target_b), abs=0.01)
    best = int(np.argmax([iou(one > 0, target_b) for one in b["masks"][0, 1:].numpy()]))
    logits = np.einsum("c,chw->hw", b[WEIGHTS][0, 1 + best].numpy(), a[VALUES][0].numpy())
    assert written == pytest.approx(iou(logits > 0, target_b), abs=2e-3)
    np.testing.assert_array_equal(found["clicks"], [pair.a, pair.b])
    part = pair._replace(a=pair.a._replace(level=1), b=pair.b._replace(level=1))
    others = [part, *(one for one in pairs if one.kind != "other object")]  # two parts, and what is no other object
    monkeypatch.setattr(product_measuring, "scene_and_pairs", lambda number: (scene, others))
    assert outlines_of_scene(model, NUMBER) == []


def test_what_is_written_is_the_mask_that_fits_bs_target_best(model: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up decodes: mask 1 is A's target, mask 2 is B's, and only the weights of mask 2 draw anything."""
    scene, pairs = ablation.scene_and_pairs(NUMBER)
    pair = next(pair for pair in pairs if pair.kind == "other object")
    target_a, target_b = (torch.from_numpy(scene.masks[click.mask]).float() - 0.5 for click in (pair.a, pair.b))
    nothing, weights = torch.full_like(target_b, -1.0), torch.eye(2)[[1, 1, 0, 1]]
    decode = {
        "masks": torch.stack([nothing, target_a, target_b, nothing])[None],
        WEIGHTS: weights[None],
        VALUES: torch.stack([target_b, nothing])[None],
    }
    monkeypatch.setattr(product_measuring, "_decode", lambda *_: decode)
    monkeypatch.setattr(product_measuring, "outline_fits", lambda *given: [given[4]])
    assert outlines_of_scene(model, NUMBER)[0]["fits"].tolist() == [1.0]


def test_scenes_without_two_objects_apart_are_refused_by_what_they_lack() -> None:
    with pytest.raises(ValueError, match="scenes: expected some with two objects apart, got 1 without"):
        rows_of_scenes(outlines_of_scene, tiny_weights(), 1, progress=False, holding="two objects apart")


def test_everything_is_measured_stored_and_read(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam_edu.ablation.measuring.FIRST_SCENE", NUMBER)
    monkeypatch.setattr(product_measuring, "OTHERS", 1)
    measured: list[list[Row]] = []
    monkeypatch.setattr(
        product_measuring,
        "rows_of_scenes",
        lambda *args, **more: measured.append(rows_of_scenes(*args, **more)) or measured[-1],
    )
    data = measure_product(weights, scenes=1, progress=False)
    assert set(data) == {"weights", "prompts", *PRODUCT_ARRAYS}
    _, rows, [pair] = measured
    for name in ("kept", "growth", "tokens"):
        np.testing.assert_allclose(data[f"product.{name}"], [row[name] for row in rows], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(data["product.best"], [row["best"] for row in rows])
    reshuffled = np.mean([row["reshuffled"] for row in rows], axis=0)  # over the clicks: one for each lot stays
    np.testing.assert_allclose(data["product.reshuffled"], reshuffled, rtol=1e-6)
    np.testing.assert_allclose(data["product.outlines"], [pair["fits"]], rtol=1e-6)
    np.testing.assert_array_equal(data["product.outline_clicks"], [pair["clicks"]])
    with pytest.raises(ValueError, match="other weights"):
        join({"weights": np.array("0"), "prompts": data["prompts"]}, data)
    before = {
        f"{kind}.{part}": np.zeros(0)
        for kind in ("clicks", "boxes")
        for part in ("definitions", "unchanged", "changes")
    }
    before |= {"weights": data["weights"], "prompts": data["prompts"]}
    store(join(before, data), tmp_path / "file.npz")
    product = ablation.load_product(tmp_path / "file.npz", weights=weights)
    assert product.weights == sha256(weights)
    assert list(product.clicks) == ablation.prompts_of(NUMBER)[2]
    assert product.growth("random").shape == (len(product.clicks), 32)
