"""Every mode of `intervene` at every trace point: it acted, as it says, and on nothing that was computed before."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from traced_models import HEADS, decoder_inputs, make_decoder, traced

from sam_edu.modules import MaskDecoder
from sam_edu.tracing import ReferenceRuns, intervene, position_axes, trace, trace_points

RUNS = 5


@cache
def small_decoder() -> MaskDecoder:
    """One for all tests: interventions leave nothing behind."""
    torch.manual_seed(0)
    return make_decoder().requires_grad_(False)


def recorded(seed: int, batch: int) -> dict[str, Tensor]:
    return traced(small_decoder(), *decoder_inputs(seed, batch))


BEFORE = recorded(0, 2)
OTHERS = recorded(1, RUNS)  # of five prompt sets: five runs
OTHER = {name: tensor[-1:] for name, tensor in OTHERS.items()}
NAMES = list(BEFORE)
IMAGE_AXES = {
    "src": (2, 3),
    "pos_src": (2, 3),
    "keys_4": (1,),
    "keys": (1,),
    "masks": (2, 3),
    **dict.fromkeys(("doubled_once", "normed", "activated_once", "doubled_twice", "activated_twice"), (2, 3)),
}
"""By the end of a name the axes of positions; those of attentions are in `image_axes`."""
ATTENTION_SIDE = {"q": "queries", "k": "keys", "v": "keys", "heads": "queries", "out": "queries"}


def image_axes(name: str) -> tuple[int, ...]:
    """The numbers of the axes that are positions of the image, written down apart from the code."""
    *path, last = name.split(".")
    if path and path[-1].endswith(("to_image", "to_token")):
        side = "queries" if path[-1].endswith("to_token") else "keys"
        if last in ("scores", "weights"):
            return (2,) if side == "queries" else (3,)
        return (1 if last == "out" else 2,) if ATTENTION_SIDE[last] == side else ()
    return IMAGE_AXES.get(last, ())


def slot_by_slot(name: str) -> Tensor:
    total = OTHERS[name][0].double()
    for run in OTHERS[name][1:]:
        total = total + run.double()
    return (total / len(OTHERS[name])).float().expand_as(BEFORE[name])


def over_positions(name: str) -> Tensor:
    one = slot_by_slot(name)[:1].double().numpy()
    return torch.from_numpy(one.mean(axis=image_axes(name), keepdims=True)).float().expand_as(BEFORE[name])


def over_tokens(name: str) -> Tensor:
    x = BEFORE[name].double().numpy()
    axes = small_decoder().get_submodule(name).axes
    kept = {"heads", "head_dim", "dim", "channels", "mlp_dim"}
    mean = x.mean(axis=tuple(i for i, axis in enumerate(axes) if axis not in kept), keepdims=True)
    return torch.from_numpy(mean).float().expand_as(BEFORE[name])


def drawn(name: str) -> Tensor:
    runs = OTHERS[name]  # one of the positional encodings of the image, which all prompt sets share
    return runs[np.random.default_rng(7).integers(len(runs), size=len(BEFORE[name]))]


Expected = Callable[[str], Tensor]
MODES: dict[str, tuple[Callable[[], dict[str, object]], Expected]] = {
    "zero": (dict, lambda name: torch.zeros_like(BEFORE[name])),
    "token_mean": (dict, over_tokens),
    "mean": (lambda: {"reference": OTHERS}, slot_by_slot),
    "mean_over_positions": (lambda: {"reference": ReferenceRuns(OTHERS)}, over_positions),
    "resample": (lambda: {"reference": OTHERS, "generator": np.random.default_rng(7)}, drawn),
    "transplant": (lambda: {"reference": OTHER}, lambda name: OTHER[name].expand_as(BEFORE[name])),
}
CASES = [(mode, name) for mode in MODES for name in NAMES if mode != "mean_over_positions" or image_axes(name)]


@pytest.mark.parametrize(("mode", "name"), CASES)
def test_every_mode_acts_at_every_trace_point_and_on_nothing_before(mode: str, name: str) -> None:
    decoder, (arguments, expected) = small_decoder(), MODES[mode]
    with intervene(decoder, name, mode, **arguments()):  # type: ignore[arg-type]
        after = traced(decoder, *decoder_inputs())
    position = NAMES.index(name)
    assert list(after) == NAMES
    torch.testing.assert_close(after[name], expected(name), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(after[name], BEFORE[name], atol=1e-5)
    assert [n for n in NAMES[:position] if not torch.equal(after[n], BEFORE[n])] == []
    assert name in ("masks", "iou_pred") or [n for n in NAMES[position + 1 :] if not torch.equal(after[n], BEFORE[n])]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_replaces_what_is_selected_and_nothing_else(mode: str) -> None:
    decoder, (arguments, expected) = small_decoder(), MODES[mode]
    name = "transformer.layers.1.cross_attn_image_to_token.heads"
    with intervene(decoder, name, mode, heads=slice(1, 3), **arguments()):  # type: ignore[arg-type]
        after = traced(decoder, *decoder_inputs())[name]
    torch.testing.assert_close(after[:, 1:3], expected(name)[:, 1:3], atol=1e-6, rtol=1e-5)
    assert torch.equal(after[:, [0, 3]], BEFORE[name][:, [0, 3]])


def test_a_tensor_of_the_prompt_encoder_is_replaced_too(whole: torch.nn.Module) -> None:
    name = "prompt_encoder.sparse_embeddings"
    image, points = torch.zeros(1, 3, 16, 20), (torch.tensor([[[3.0, 4.0]]]), torch.tensor([[1]]))
    runs = torch.randn(4, 2, 16, generator=torch.Generator().manual_seed(2))
    with intervene(whole, name, "mean", reference={name: runs}), trace(whole) as t:
        whole(image, points)
    torch.testing.assert_close(t[name][0], runs.mean(dim=0))
    assert torch.equal(t["tokens"][:, 5:], t[name])


def test_positions_of_the_image_are_known_for_every_traced_tensor() -> None:
    decoder = small_decoder()
    for name in NAMES:
        axes = decoder.get_submodule(name).axes
        assert tuple(axes.index(axis) for axis in position_axes(name, axes)) == image_axes(name), name
    assert {trace_points.pattern(name) for name in NAMES if image_axes(name)} >= {
        "src",
        "transformer.layers.{i}.keys_4",
        "transformer.layers.{i}.cross_attn_image_to_token.out",
        "transformer.final_attn_token_to_image.weights",
        "masks",
    }


def test_runs_are_drawn_by_the_generator_anew_at_every_pass() -> None:
    decoder = small_decoder()
    results = []
    for generator in (torch.Generator().manual_seed(1), torch.Generator().manual_seed(1), np.random.default_rng(1)):
        with intervene(decoder, "hs", "resample", reference=OTHERS, generator=generator):
            results.append(torch.stack([traced(decoder, *decoder_inputs())["hs"] for _ in range(8)]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    for result in results:
        hits = [[int((OTHERS["hs"] == one).all(dim=(1, 2)).nonzero()) for one in batch] for batch in result]
        assert len({tuple(hit) for hit in hits}) > 1
        assert any(first != second for first, second in hits)  # each prompt set has a draw of its own


def test_a_mean_may_be_over_more_runs_than_are_kept() -> None:
    decoder, mean = small_decoder(), torch.randn(20, 16)
    runs = ReferenceRuns({"keys": OTHERS["keys"][:2]}, {"keys": mean}, count=247)
    with intervene(decoder, "mask_decoder.keys", "mean", reference=runs):
        assert torch.equal(traced(decoder, *decoder_inputs())["keys"], mean.expand(2, 20, 16))
    with intervene(decoder, "keys", "mean_over_positions", reference=runs):
        after = traced(decoder, *decoder_inputs())["keys"]
    torch.testing.assert_close(after, mean.mean(dim=0).expand(2, 20, 16))
    assert (len(runs["mask_decoder.keys"]), runs.count, runs.names) == (2, 247, ("keys",))
    assert ReferenceRuns(OTHERS).count == RUNS
    with pytest.raises(KeyError, match="holds nothing named 'hs', only keys"):
        runs.mean("hs")


def test_a_trace_is_transplanted_as_it_is() -> None:
    decoder = small_decoder()
    with trace(decoder) as other:
        decoder(*decoder_inputs(3))
    with ExitStack() as stack:
        for name in ("tokens", "src", "pos_src"):
            stack.enter_context(intervene(decoder, name, "transplant", reference=other))
        after = traced(decoder, *decoder_inputs())
    for name in NAMES:
        torch.testing.assert_close(after[name], recorded(3, 2)[name])


# --- What is refused ---

GENERATOR = torch.Generator()


@pytest.mark.no_shape_check
@pytest.mark.parametrize(
    ("how", "arguments", "message"),
    [
        ("mean", {}, r"reference: \"mean\" needs a mapping .*got None; give runs .*ablation\.reference"),
        ("mean_over_positions", {}, "reference: .*got None"),
        ("resample", {"generator": GENERATOR}, "reference: .*got None"),
        ("transplant", {}, "got None; give the trace of another pass"),
        ("mean", {"reference": torch.zeros(3)}, r"mapping of names to tensors, got tensor\("),
        ("resample", {"reference": OTHERS}, r"generator: .*got None; give torch\.Generator\(\)"),
        ("resample", {"reference": OTHERS, "generator": 0}, "generator: .*got 0"),
        ("zero", {"reference": OTHERS}, 'reference: "zero" needs none, got dict'),
        ("token_mean", {"reference": OTHERS}, 'reference: "token_mean" needs none'),
        (torch.zeros(16), {"reference": OTHERS}, "reference: a tensor or a function needs none"),
        ("mean", {"reference": OTHERS, "generator": GENERATOR}, 'generator: "mean" draws nothing, got Generator'),
        ("median", {"reference": OTHERS}, 'how: expected one of "zero", "token_mean", "mean", .* got \'median\''),
    ],
)
def test_what_a_mode_lacks_or_would_ignore_is_refused(how: object, arguments: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        intervene(small_decoder(), "hs", how, **arguments)  # type: ignore[arg-type]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(
    ("name", "how", "reference", "error", "message"),
    [
        ("hs", "mean", {}, KeyError, "reference: holds nothing named 'hs'; it holds nothing"),
        ("hs", "resample", {"keys": 0}, KeyError, "reference: holds nothing named 'hs'; it holds keys"),
        ("hs", "mean", {"hs": 0}, ValueError, "expected hs as a tensor of the axes .batch, tokens, dim., got int"),
        ("hs", "mean", {"hs": torch.zeros(8, 16)}, ValueError, r"got shape \(8, 16\)"),
        ("hs", "transplant", {"hs": torch.zeros(0, 8, 16)}, ValueError, r"got shape \(0, 8, 16\)"),
        ("hs", "mean", ReferenceRuns({}, {"hs": torch.zeros(16)}), ValueError, r"as \(runs, tokens, dim\), got 2 axes"),
        (
            "hs",
            "mean_over_positions",
            OTHERS,
            ValueError,
            "needs an axis of image positions, and hs has only",
        ),
        (HEADS, "mean_over_positions", OTHERS, ValueError, "needs an axis of image positions"),
    ],
)
def test_a_reference_that_does_not_hold_it_is_refused(
    name: str, how: str, reference: dict, error: type[Exception], message: str
) -> None:
    generator = GENERATOR if how == "resample" else None
    with pytest.raises(error, match=message):
        intervene(small_decoder(), name, how, reference=reference, generator=generator)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["mean", "resample", "transplant"])
def test_runs_of_another_size_are_refused_in_words(how: str) -> None:
    decoder, generator = small_decoder(), GENERATOR if how == "resample" else None
    image, pe, sparse, dense, three = decoder_inputs(0, 1)
    more = traced(decoder, image, pe, torch.cat([sparse, sparse[:, :1]], dim=1), dense, three)
    whose = "the other pass has" if how == "transplant" else "these runs have"
    with (
        pytest.raises(ValueError, match=f"reference: {whose} 9 tokens in hs, this decode has 8"),
        intervene(decoder, "hs", how, reference=more, generator=generator),  # type: ignore[arg-type]
    ):
        decoder(*decoder_inputs())
    with (
        pytest.raises(ValueError, match=r"expected hs as torch\.float32, got torch\.float64; \.to\(torch\.float32\)"),
        intervene(decoder, "hs", how, reference={"hs": BEFORE["hs"].double()}, generator=generator),  # type: ignore[arg-type]
    ):
        decoder(*decoder_inputs())


def test_a_trace_of_more_prompt_sets_is_refused() -> None:
    decoder = small_decoder()
    with (
        pytest.raises(ValueError, match="the other pass has 5 prompt sets in hs, this decode has 2"),
        intervene(decoder, "hs", "transplant", reference=OTHERS),
    ):
        decoder(*decoder_inputs())


def test_a_mean_over_positions_is_no_mean_by_position() -> None:
    decoder = small_decoder()
    stored = ReferenceRuns({}, {"keys": torch.zeros(1, 16)})
    with intervene(decoder, "keys", "mean_over_positions", reference=stored):
        assert not traced(decoder, *decoder_inputs())["keys"].any()
    with (
        pytest.raises(ValueError, match="these runs have 1 image_tokens in keys, this decode has 20"),
        intervene(decoder, "keys", "mean", reference=stored),
    ):
        decoder(*decoder_inputs())


def test_a_tensor_without_numbers_is_refused() -> None:
    decoder = small_decoder()
    with (
        pytest.raises(ValueError, match="how: hs needs numbers, got a tensor on the device meta"),
        intervene(decoder, "hs", torch.zeros(1, device="meta")),
    ):
        decoder(*decoder_inputs())
