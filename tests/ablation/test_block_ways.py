"""Ways to build the blocks: against the decoder, the stored ablations and a plain calculation; how they are stored."""

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import ABLATIONS, BLOCK_WAYS, FIRST_SCENE, BlockWay, BlockWays
from sam_edu.ablation.block_ways import (
    COVERED,
    DEFINITION,
    PAIR_ROWS,
    block_pairs_of_scene,
    block_ways_of_scene,
    other_object,
    streams,
    way_to_b,
)
from sam_edu.ablation.changes import Ablation, Change
from sam_edu.ablation.controls import untrained
from sam_edu.ablation.pairs import MAX_OVERLAP, overlap
from sam_edu.ablation.prompts import prompts_of, scene_and_prompts
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.tracing import trace

NUMBER = FIRST_SCENE + 3


@pytest.fixture(scope="module")
def model() -> Sam:
    return load().requires_grad_(False)


@pytest.fixture(scope="module")
def decode(model: Sam) -> AblatedDecoder:
    image, _, prompts = prompts_of(NUMBER)
    predictor = Predictor(model)
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    return AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompts[0]), encodings)


# --- The ways ---


def test_the_defaults_are_the_decoder(model: Sam, decode: AblatedDecoder) -> None:
    hs, keys = streams(model.mask_decoder, decode.t, BlockWay())
    torch.testing.assert_close(hs, decode.t["hs"])
    torch.testing.assert_close(keys, decode.t["keys"])


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("without (4)", "step (4) removed"),
        ("residual in the first step", "transformer.layers.0.self_attn with residual"),
    ],
)
def test_ways_that_are_ablations_too_give_the_same(model: Sam, decode: AblatedDecoder, way: str, name: str) -> None:
    expected = decode.run(ABLATIONS[name])
    hs, keys = streams(model.mask_decoder, decode.t, BLOCK_WAYS[way])
    masks, iou = decode.run(Ablation("", (Change("hs", hs), Change("keys", keys))))
    torch.testing.assert_close(masks, expected[0], atol=2e-3, rtol=1e-4)
    torch.testing.assert_close(iou, expected[1], atol=1e-4, rtol=1e-4)
    assert (masks - decode.masks).abs().max() > 0.05


def test_every_way_changes_both_streams_or_the_masks_and_no_two_are_the_same(
    model: Sam, decode: AblatedDecoder
) -> None:
    found = [decode.t["hs"]]
    for way in BLOCK_WAYS.values():
        found.append(streams(model.mask_decoder, decode.t, way, generator=torch.Generator().manual_seed(0))[0])
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().max() > 1e-3


def plain(
    model: Sam, t: dict[str, Tensor], *, zero: bool = False, image_first: bool = False, once: bool = False
) -> Tensor:
    """hs of the whole transformer, by hand: DETR's layers where `zero`, else the two blocks with one change."""
    w = model.mask_decoder.transformer.state_dict()

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def attention(name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (linear(f"{name}.{p}_proj", x) for p, x in (("q", q), ("k", k), ("v", v)))
        heads = [
            torch.softmax(a @ b.T / math.sqrt(a.shape[-1]), -1) @ c
            for a, b, c in zip(q.chunk(8, -1), k.chunk(8, -1), v.chunk(8, -1), strict=True)
        ]
        return linear(f"{name}.out_proj", torch.cat(heads, -1))

    def norm(name: str, x: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x, (256,), w[f"{name}.weight"], w[f"{name}.bias"])

    pe, image, key_pe = t["tokens"][0], t["src"][0].flatten(1).T, t["pos_src"][0].flatten(1).T
    image, key_pe = (image + key_pe, 0 * key_pe) if once else (image, key_pe)
    x = 0 * pe if zero else pe
    for i in (0, 1):
        name = f"layers.{i}"
        q = x if i == 0 and not zero else x + pe
        read = attention(f"{name}.self_attn", q, q, x)
        x = norm(f"{name}.norm1", read if i == 0 and not zero else x + read)
        if image_first:
            read = attention(f"{name}.cross_attn_image_to_token", image + key_pe, x + pe, x)
            image = norm(f"{name}.norm4", image + read)
        x = norm(f"{name}.norm2", x + attention(f"{name}.cross_attn_token_to_image", x + pe, image + key_pe, image))
        x = norm(f"{name}.norm3", x + linear(f"{name}.mlp.lin2", linear(f"{name}.mlp.lin1", x).relu()))
        if not zero and not image_first:
            read = attention(f"{name}.cross_attn_image_to_token", image + key_pe, x + pe, x)
            image = norm(f"{name}.norm4", image + read)
    return norm("norm_final_attn", x + attention("final_attn_token_to_image", x + pe, image + key_pe, image))


@pytest.mark.parametrize(
    ("way", "changes"),
    [
        ("DETR's layers", {"zero": True}),
        ("(4) before (2)", {"image_first": True}),
        ("image's encodings once", {"once": True}),
    ],
)
def test_ways_are_what_their_names_say(model: Sam, decode: AblatedDecoder, way: str, changes: dict[str, bool]) -> None:
    hs, _ = streams(model.mask_decoder, decode.t, BLOCK_WAYS[way])
    torch.testing.assert_close(hs[0], plain(model, decode.t, **changes), atol=1e-3, rtol=1e-3)


def test_shuffled_encodings_need_a_generator_and_keep_the_order_elsewhere(model: Sam, decode: AblatedDecoder) -> None:
    way = BLOCK_WAYS["image's encodings shuffled"]
    with pytest.raises(ValueError, match=r"expected a torch\.Generator"):
        streams(model.mask_decoder, decode.t, way)
    found = [
        streams(model.mask_decoder, decode.t, way, generator=torch.Generator().manual_seed(i))[0] for i in (0, 0, 1)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_stream_and_encodings_of_the_other_click_together_are_the_other_click(
    model: Sam, decode: AblatedDecoder
) -> None:
    """The image is the same, so a decode with both is the other decode."""
    image, _, prompts = prompts_of(NUMBER)
    predictor = Predictor(model)
    predictor.set_image(image)
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    other = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompts[-1]), encodings)
    b = other.t["tokens"]
    hs, keys = streams(model.mask_decoder, decode.t, BlockWay(), begin=b, encodings=b)
    torch.testing.assert_close(hs, other.t["hs"])
    torch.testing.assert_close(keys, other.t["keys"])
    assert not torch.equal(hs, decode.t["hs"])


def test_the_way_to_b_is_along_the_logits(model: Sam, decode: AblatedDecoder) -> None:
    image, _, prompts = prompts_of(NUMBER)
    predictor = Predictor(model)
    predictor.set_image(image)
    with trace(model.mask_decoder) as b:
        predictor.predict([[prompts[-1].x, prompts[-1].y]], [1])
    found = way_to_b(model.mask_decoder, decode.t, b)
    hs, keys = streams(model.mask_decoder, decode.t, BlockWay(), encodings=b["tokens"])
    masks, _ = decode.run(Ablation("", (Change("hs", hs), Change("keys", keys))))
    a, whole = decode.masks[:, 1:], (b["masks"] - decode.masks)[:, 1:]
    expected = ((masks[:, 1:] - a) * whole).sum() / whole.square().sum()
    assert found["encodings of B"] == pytest.approx(float(expected), abs=1e-3)
    assert found["encodings of B"] > 0.3  # in the trained model
    fresh = untrained(model, generator=torch.Generator().manual_seed(0), parts=("mask_decoder",)).mask_decoder
    with trace(fresh) as a_fresh:
        fresh.predict_masks(**decoder_inputs(predictor, prompts[0]))
    with trace(fresh) as b_fresh:
        fresh.predict_masks(**decoder_inputs(predictor, prompts[-1]))
    assert way_to_b(fresh, a_fresh, b_fresh) == pytest.approx({"encodings of B": 0.0, "stream of B": 1.0}, abs=0.1)
    with pytest.raises(ValueError, match="got the same"):
        way_to_b(fresh, a_fresh, a_fresh)


# --- A scene ---


def test_a_scene_has_effects_and_covers(model: Sam) -> None:
    rows = block_ways_of_scene(model, NUMBER)
    scene, prompts = scene_and_prompts(NUMBER)
    assert [tuple(row["prompt"]) for row in rows] == prompts
    for row, prompt in zip(rows, prompts, strict=True):
        assert row["effects"].shape == (4, len(BLOCK_WAYS))
        assert row["covers"].shape == (2, len(COVERED))
        other = other_object(scene, prompt)
        assert np.isfinite(row["covers"][0]).all()
        assert np.isfinite(row["covers"][1]).all() == (other is not None)
        if other is not None:
            assert overlap(other, scene.masks[prompt.mask]) < MAX_OVERLAP
    assert max(row["covers"][0, 0] for row in rows) > 0.8  # the target is covered
    assert any(other_object(scene, prompt) is not None for prompt in prompts)


def test_pairs_of_a_scene_have_their_unchanged_decodes(model: Sam) -> None:
    rows = block_pairs_of_scene(model, NUMBER)
    stored = ablation.load_pairs()
    numbers = [i for i in stored.of_kind("other object") if stored.pairs[i].a.scene == NUMBER]
    assert len(rows) == len(numbers) > 0
    for row, i in zip(rows, numbers, strict=True):
        assert [tuple(click) for click in row["clicks"]] == [stored.pairs[i].a, stored.pairs[i].b]
        for j, name in enumerate(ablation.UNCHANGED):
            expected = [stored.scores(name, measure)[i] for measure in ablation.PAIR_MEASURES]
            np.testing.assert_allclose(row["scores"][j], expected, atol=ablation.TOLERANCE)
    iou_a, iou_b = np.mean([row["scores"] for row in rows], axis=0)[:, :2].T
    encodings, stream = PAIR_ROWS.index("encodings of B"), PAIR_ROWS.index("stream of B")
    assert iou_b[encodings] > iou_b[stream] + 0.2  # in the trained model the encodings decide
    assert iou_a[stream] > iou_a[encodings] + 0.2


# --- What is stored ---


def arrays(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    clicks = [[[1000, 0, 0, 5, 6, 7], [1000, 1, 0, 9, 9, 7]], [[1001, 0, 0, 5, 6, 7], [1001, 1, 0, 9, 9, 7]]]
    covers = rng.random((n, 2, len(COVERED)))
    covers[0, 1] = np.nan
    return {
        "block.definition": np.array(DEFINITION),
        "block.effects": rng.normal(size=(n, 4, len(BLOCK_WAYS))),
        "block.covers": covers,
        "block.pair_clicks": np.array(json.dumps(clicks)),
        "block.pairs": rng.random((2, len(PAIR_ROWS), 4)),
    }


def test_stored_numbers_are_read() -> None:
    data = ablation.read()
    own = arrays(len(data["prompts"]))
    ways = BlockWays(data | own)
    names = list(BLOCK_WAYS)
    for measure, column in (("best", 0), ("predicted", 3)):
        found = ways.effect("(4) before (2)", measure)
        expected = own["block.effects"][:, column, names.index("(4) before (2)")]
        assert found.mean == pytest.approx(expected.mean())
        assert found.low < found.mean < found.high
    of_level = data["prompts"][:, 2] == 1
    assert ways.effect(names[-1], level="part").mean == pytest.approx(own["block.effects"][of_level, 0, -1].mean())
    cover = ways.cover("without (4)", "other")
    assert cover.prompts == len(data["prompts"]) - 1  # one has no other object
    assert cover.mean == pytest.approx(own["block.covers"][1:, 1, 1].mean())
    assert ways.cover("as it is", "target").mean == pytest.approx(own["block.covers"][1:, 0, 0].mean())
    assert ways.pairs("encodings of B", "iou_b").mean == pytest.approx(own["block.pairs"][:, 2, 1].mean())
    assert [pair.b.x for pair in ways.clicks_of_pairs] == [9, 9]


@pytest.mark.no_shape_check
def test_wrong_names_are_refused() -> None:
    data = ablation.read()
    ways = BlockWays(data | arrays(len(data["prompts"])))
    for wrong in (
        lambda: ways.effect("sideways"),
        lambda: ways.effect("without (4)", "beauty"),  # type: ignore[arg-type]
        lambda: ways.cover("(4) before (2)", "other"),
        lambda: ways.cover("as it is", "nobody"),
        lambda: ways.pairs("encodings of A", "iou_a"),
        lambda: ways.pairs("A unchanged", "iou_c"),
    ):
        with pytest.raises(ValueError, match="expected one of"):
            wrong()


@pytest.mark.parametrize("name", ["definition", "effects", "covers", "pair_clicks", "pairs"])
def test_other_ways_and_missing_arrays_are_refused(name: str) -> None:
    data = ablation.read()
    whole = data | arrays(len(data["prompts"]))
    less = {key: array for key, array in whole.items() if key != f"block.{name}"}
    with pytest.raises(ValueError, match="--only block"):
        BlockWays(less)
    with pytest.raises(ValueError, match="--only block"):
        BlockWays(whole | {"block.definition": np.array("others")})
