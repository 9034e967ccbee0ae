"""Defaults: those of Meta's signatures, and a call without them is the call in which they are spelled out."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sam_edu
from sam_edu import checkpoints, flops, modules, official, sam, timing
from sam_edu.modules import (
    MLP,
    Attention,
    LayerNorm2d,
    MaskDecoder,
    MLPBlock,
    OutputUpscaling,
    PositionEmbeddingRandom,
    PromptEncoder,
    TwoWayAttentionBlock,
    TwoWayTransformer,
)
from sam_edu.predictor import Predictor
from sam_edu.resize import ResizeLongestSide
from sam_edu.sam import load_from_environment
from sam_edu.tiny.image_encoder import TinyImageEncoder

# --- Meta's signatures ---

CONVERTED = (
    "MLP",
    "MLPBlock",
    "LayerNorm2d",
    "Attention",
    "TwoWayAttentionBlock",
    "TwoWayTransformer",
    "MaskDecoder",
    "PositionEmbeddingRandom",
    "PromptEncoder",
)

# What differs from Meta's signature, and why.
DIFFERENCES: dict[str, dict[str, str]] = {
    "Predictor.__init__": {
        "sam_model": "called model, as it is in the rest of the package",
        "model": "Meta's sam_model",
        "device": "ours alone, by name alone: moves the model",
        "fast": "ours alone, by name alone: another decoder",
    },
    "Sam.__init__": {"image_size": "Meta's takes img_size from the image encoder, ours takes encoders without"},
    "FastMaskDecoder.__init__": {
        "decoder": "takes a decoder, not its parts",
        "budget": "bytes of its temporaries; Meta's has no chunks",
        "transformer_dim": "in decoder",
        "transformer": "in decoder",
        "num_multimask_outputs": "in decoder",
        "activation": "in decoder",
        "iou_head_depth": "in decoder",
        "iou_head_hidden_dim": "in decoder",
    },
}
LEFT_OUT = {
    "ResizeLongestSide.apply_image_torch": "Meta's own text says that it is not what the model expects",
    "FastMaskDecoder.predict_masks": "decode(), for groups of prompt sets",
}


@cache
def pairs() -> dict[str, tuple[type, type]]:
    """Our classes by name, each with Meta's."""
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=8)
    decoder = MaskDecoder(transformer_dim=8, transformer=TwoWayTransformer(1, 8, 2, 4))
    theirs = official.sam_predictor(encoder, PromptEncoder(8, (2, 2), (32, 32), 4), decoder)
    return {
        **{name: (getattr(modules, name), official.official_class(name)) for name in CONVERTED},
        "FastMaskDecoder": (sam_edu.FastMaskDecoder, official.official_class("MaskDecoder")),
        "Predictor": (Predictor, type(theirs)),
        "ResizeLongestSide": (ResizeLongestSide, type(theirs.transform)),
        "Sam": (sam.Sam, type(theirs.model)),
    }


def parameters(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Per argument in their order its default, lists as the tuples that they stand for, and how it may be given."""
    return {
        name: (tuple(p.default) if isinstance(p.default, list) else p.default, p.kind)
        for name, p in inspect.signature(function).parameters.items()
    }


@pytest.mark.parametrize("name", [*CONVERTED, "FastMaskDecoder", "Predictor", "ResizeLongestSide", "Sam"])
def test_arguments_their_order_and_their_defaults_are_metas(name: str) -> None:
    ours, theirs = pairs()[name]
    methods = [key for key in vars(theirs) if inspect.isroutine(vars(theirs)[key])]
    methods = [f"{name}.{key}" for key in methods if key == "__init__" or not key.startswith("_")]
    assert len(methods) >= 2
    for method in set(methods) - set(LEFT_OUT):
        key, other = method.partition(".")[2], DIFFERENCES.get(method, {})
        got, wanted = parameters(getattr(ours, key)), parameters(getattr(theirs, key))
        assert set(got) ^ set(wanted) == set(other), method
        same = [argument for argument in got if argument not in other]
        assert same == [argument for argument in wanted if argument not in other], method
        assert {argument: got[argument] for argument in same} == {argument: wanted[argument] for argument in same}


def test_every_class_with_a_counterpart_is_held_to_it() -> None:
    public = {name for name in sam_edu.__all__ if inspect.isclass(getattr(sam_edu, name))}
    ours_alone = {"Example", "HypernetworkMLPs", "ShapeTable", "OutputUpscaling", "TracePoint", "Trace"}
    assert set(pairs()) - {"ResizeLongestSide"} == public - ours_alone
    for method in (*DIFFERENCES, *LEFT_OUT):
        name, _, key = method.partition(".")
        assert key in vars(pairs()[name][1])


def test_predictor_s_own_arguments_come_by_name_alone() -> None:
    given = inspect.signature(Predictor).parameters
    assert {name: (given[name].default, given[name].kind.name) for name in ("device", "fast")} == {
        "device": (None, "KEYWORD_ONLY"),
        "fast": (False, "KEYWORD_ONLY"),
    }


# --- Called without and spelled out ---


def normal(*sizes: int) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(1))


def outputs_of(build: Callable[..., nn.Module], *inputs: Any) -> Callable[..., Any]:
    """The outputs of a module that is built from the arguments with the same random numbers each time."""

    def call(**arguments: Any) -> Any:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            return build(**arguments)(*inputs)

    return call


def shapes(build: Callable[..., nn.Module]) -> Callable[..., Any]:
    """Names and shapes of a module that is built from the arguments, without its values."""

    def call(**arguments: Any) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            return {key: tuple(value.shape) for key, value in build(**arguments).state_dict().items()}

    return call


@cache
def small() -> sam.Sam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(2, 16, 2, 8), iou_head_hidden_dim=8)
        encoder = nn.Conv2d(3, 16, 8, stride=8)
        return sam.Sam(encoder, PromptEncoder(16, (4, 4), (32, 32), 4), decoder, image_size=32).eval()


RGB_IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
CLICK = {"point_coords": np.array([[10.0, 12.0]]), "point_labels": np.array([1])}


def ready() -> Predictor:
    predictor = Predictor(small())
    predictor.set_image(RGB_IMAGE)
    return predictor


def embed(**arguments: Any) -> Tensor:
    predictor = Predictor(small())
    predictor.set_image(RGB_IMAGE, **arguments)
    return predictor.get_image_embedding()


def predict(**arguments: Any) -> Any:
    return ready().predict(**CLICK, **arguments)


def predict_torch(**arguments: Any) -> Any:
    return ready().predict_torch(torch.tensor([[[10.0, 12.0]]]), torch.tensor([[1]]), **arguments)


def predictor_s(**arguments: Any) -> tuple[torch.device, bool]:
    """Where a predictor's model is, and whether it is fast."""
    predictor = Predictor(sam.build_tiny(), **arguments)
    return predictor.device, predictor.fast_mask_decoder is not None


def preprocess(**arguments: Any) -> Tensor:
    model = sam.Sam(small().image_encoder, small().prompt_encoder, small().mask_decoder, 32, **arguments)
    return model.preprocess(torch.arange(3.0).view(3, 1, 1))


def shape_table(**arguments: Any) -> Any:
    with sam_edu.trace(small()) as t:
        ready().predict(**CLICK)
    return t.shape_table(**arguments)


def intervene(**select: Any) -> Any:
    with sam_edu.intervene(small(), "hs", "zero", **select):
        return ready().predict(**CLICK)


def load(**arguments: Any) -> Any:
    model = sam.load(**arguments)
    return model.device, {key: tuple(value.shape) for key, value in model.state_dict().items()}


def from_environment(**arguments: Any) -> torch.device:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkpoints.ENVIRONMENT_VARIABLE, str(sam.tiny_weights()))
        model = load_from_environment(**arguments)
    assert model is not None
    return model.device


def read(**arguments: Any) -> str:
    """The error for a file of this test's text."""
    with pytest.raises(ValueError, match="is a text file") as refusal:
        checkpoints.read(__file__, **arguments)
    return str(refusal.value)


def interleave(**arguments: Any) -> list[str]:
    calls: list[str] = []
    timing.interleave({name: partial(calls.append, name) for name in "ab"}, 1, **arguments)
    return calls


def interleave_laps(**arguments: Any) -> list[str]:
    calls: list[str] = []

    def call(lap: Callable[[str], None]) -> None:
        calls.append("a")
        lap("first")

    timing.interleave_laps({"a": call}, 2, **arguments)
    return calls


def asked_of_interleave(measure: Callable[..., float]) -> Callable[..., Any]:
    """Rounds, device and warm-up of a measurement, and what its calls return."""

    def call(**arguments: Any) -> Any:
        given: list[Any] = []

        def note(calls: Mapping[str, timing.Call], *settings: Any, **named: Any) -> dict[str, np.ndarray]:
            given.append((settings, named, [(tuple(x.shape), x.device) for x in (call() for call in calls.values())]))
            return dict.fromkeys(calls, np.ones(1))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timing, "interleave", note)
            measure(**arguments)
        return given

    return call


def sam_predictor(**arguments: Any) -> Any:
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=16)
    whole = official.modeling().Sam(encoder, small().prompt_encoder, small().mask_decoder)
    return official.sam_predictor(whole, **arguments).model.pixel_mean


QUERIES, KEYS, IMAGE = normal(2, 3, 8), normal(2, 5, 8), normal(2, 8, 3, 4)
PROMPTS = ((normal(1, 2, 2) + 9, torch.ones(1, 2)), None, normal(1, 1, 8, 8))
CPU, META = torch.device("cpu"), torch.device("meta")
TRANSFORMER = {"activation": (nn.ReLU, nn.GELU), "attention_downsample_rate": (2, 1)}
PREDICT = {"multimask_output": (True, False), "return_logits": (False, True)}
LOGITS = normal(1, 16, 16)


def decoder(**arguments: Any) -> MaskDecoder:
    return MaskDecoder(transformer_dim=8, transformer=TwoWayTransformer(1, 8, 2, 4), **arguments)


# Per function: for each argument its default, and another value, with which something else comes out.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, tuple[Any, Any]]]] = {
    "MLP": (outputs_of(partial(MLP, 3, 5, 2, 2), normal(2, 3)), {"sigmoid_output": (False, True)}),
    "MLPBlock": (outputs_of(partial(MLPBlock, 4, 6), normal(2, 4)), {"act": (nn.GELU, nn.ReLU)}),
    "LayerNorm2d": (outputs_of(partial(LayerNorm2d, 4), 1e-3 * normal(1, 4, 1, 1)), {"eps": (1e-6, 1e-5)}),
    "Attention": (outputs_of(partial(Attention, 8, 2), QUERIES, KEYS, KEYS), {"downsample_rate": (1, 2)}),
    "TwoWayAttentionBlock": (
        outputs_of(partial(TwoWayAttentionBlock, 8, 2), QUERIES, KEYS, QUERIES + 1, KEYS + 1),
        {**TRANSFORMER, "mlp_dim": (2048, 1024), "skip_first_layer_pe": (False, True)},
    ),
    "TwoWayTransformer": (outputs_of(partial(TwoWayTransformer, 1, 8, 2, 4), IMAGE, IMAGE, QUERIES), TRANSFORMER),
    "OutputUpscaling": (outputs_of(partial(OutputUpscaling, 8), IMAGE), {"activation": (nn.GELU, nn.ReLU)}),
    "MaskDecoder": (
        outputs_of(decoder, IMAGE, IMAGE, QUERIES, IMAGE, True),
        {
            "num_multimask_outputs": (3, 2),
            "activation": (nn.GELU, nn.ReLU),
            "iou_head_depth": (3, 2),
            "iou_head_hidden_dim": (256, 128),
        },
    ),
    "PositionEmbeddingRandom": (
        outputs_of(PositionEmbeddingRandom, (2, 3)),
        {"num_pos_feats": (64, 32), "scale": (None, 2.0)},
    ),
    "PromptEncoder": (
        outputs_of(partial(PromptEncoder, 8, (2, 2), (32, 32), 4), *PROMPTS),
        {"activation": (nn.GELU, nn.ReLU)},
    ),
    "TinyImageEncoder": (
        shapes(TinyImageEncoder),
        {"img_size": (256, 128), "out_chans": (256, 64), "widths": ((64, 128, 224), (64, 128, 256)), "depth": (3, 2)},
    ),
    "build_image_encoder": (shapes(official.build_image_encoder), {"name": ("vit_b", "vit_l")}),
    "Sam": (
        preprocess,
        {
            "pixel_mean": ((123.675, 116.28, 103.53), (0.0, 0.0, 0.0)),
            "pixel_std": ((58.395, 57.12, 57.375), (1.0, 1.0, 1.0)),
        },
    ),
    "load": (load, {"name": ("tiny", None), "checkpoint": (None, None), "device": ("cpu", "meta")}),
    "load_from_environment": (from_environment, {"device": ("cpu", "meta")}),
    "read": (read, {"argument": ("checkpoint", "file"), "name": (None, "vit_b")}),
    "Predictor": (predictor_s, {"device": (None, "meta"), "fast": (False, True)}),
    "set_image": (embed, {"image_format": ("RGB", "BGR")}),
    "predict": (
        predict,
        {**PREDICT, "box": (None, np.array([3, 4, 30, 20])), "mask_input": (None, LOGITS.numpy())},
    ),
    "predict_torch": (
        predict_torch,
        {**PREDICT, "boxes": (None, torch.tensor([[3, 4, 30, 20]])), "mask_input": (None, LOGITS[None])},
    ),
    "shape-table": (shape_table, {"notebook": (None, "07")}),
    "intervene": (
        intervene,
        {axis: (slice(None), 0) for axis in ("tokens", "dim")},
    ),
    "sam_predictor": (sam_predictor, {"prompt_encoder": (None, None), "mask_decoder": (None, None)}),
    "interleave": (interleave, {"device": (CPU, None), "warm_up": (1, 2)}),
    "interleave_laps": (interleave_laps, {"warm_up": (1, 2)}),
    "matrix_peak": (
        asked_of_interleave(timing.matrix_peak),
        {"device": (CPU, META), "size": (1024, 8), "rounds": (9, 8)},
    ),
    "memory_rate": (
        asked_of_interleave(timing.memory_rate),
        {"device": (CPU, META), "megabytes": (128, 1), "rounds": (5, 4)},
    ),
    "Sizes": (
        flops.Sizes,
        {
            "dim": (256, 8),
            "inner": (128, 8),
            "heads": (8, 1),
            "mlp": (2048, 8),
            "depth": (2, 1),
            "iou_hidden": (256, 8),
            "masks": (4, 1),
        },
    ),
    "Case": (
        partial(flops.Case, "name", 1),
        {
            "tokens": (2, 1),
            "grid": (64, 8),
            "multimask": (True, False),
            "dense": (False, True),
            "images": (1, 2),
            "fresh": (False, True),
        },
    ),
}
# Of these another value is refused or means the same; what they do is tested elsewhere.
SAME_OR_REFUSED = {
    ("load", "name"),
    ("load", "checkpoint"),
    ("sam_predictor", "prompt_encoder"),
    ("sam_predictor", "mask_decoder"),
    ("interleave", "device"),
}


def same(a: Any, b: Any) -> bool:
    """Whether two results are of the same kind, shape and, up to rounding, the same values."""
    if isinstance(a, np.ndarray):
        return same(torch.as_tensor(a), torch.as_tensor(b))
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-6, atol=1e-7)
    if isinstance(a, tuple | list) or type(a).__name__ == "ShapeTable":
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_its_defaults_is_the_one_that_spells_them_out(name: str) -> None:
    function, arguments = CALLS[name]
    defaults = {argument: default for argument, (default, _) in arguments.items()}
    short = function()
    assert same(short, function(**defaults))
    for argument, (_, other) in arguments.items():
        if (name, argument) not in SAME_OR_REFUSED:
            assert not same(short, function(**{**defaults, argument: other})), argument
