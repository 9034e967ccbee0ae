"""Frequent mistakes in a new implementation of the modules: each must fail a parity assertion, at the named tensor.

Every mutant is ours with one thing changed. It runs without an error of its own; `assert_parity_forward` refuses it,
and `assert_parity_trace_points` says at which tensor. The same inputs and weights pass both before the change.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from parity import TINY, assert_parity_forward, assert_parity_trace_points, decoder_inputs, make_pair, randoms, tensors
from torch import nn

from sam_edu.modules import Attention, LayerNorm2d, attention

HEADS = TINY["transformer"]["num_heads"]
ENCODER = {"embed_dim": 8, "image_embedding_size": (2, 3), "input_image_size": (20, 30), "mask_in_chans": 8}


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        kind: the mistake's family.
        change: changes our module; gets pytest's monkeypatch too.
        first: the first tensor that must differ.
        name: the module that is changed.
        scale: beginnings of parameter names on both sides, and factors for them, so that the mistake has an effect.
        image_scale: a factor for the image embedding and the dense prompt.
    """

    kind: str
    change: Callable[[Any, pytest.MonkeyPatch], object]
    first: str
    name: str = "MaskDecoder"
    scale: dict[str, float] = field(default_factory=dict)
    image_scale: float = 1.0


def scores_divided_by(root: Callable[[int], float]) -> Callable[[Any, pytest.MonkeyPatch], None]:
    """The square root of the width of a head replaced by another function."""
    return lambda ours, monkeypatch: monkeypatch.setattr(attention, "math", SimpleNamespace(sqrt=root))


def swap_q_and_k(ours: nn.Module, _: pytest.MonkeyPatch) -> None:
    for module in ours.modules():
        if isinstance(module, Attention):
            module.q_proj, module.k_proj = module.k_proj, module.q_proj


def values_with_encoding(path: str) -> Callable[[Any, pytest.MonkeyPatch], object]:
    """The keys, which contain a positional encoding, as values too."""
    return lambda ours, _: ours.get_submodule(path).register_forward_pre_hook(
        lambda module, args, kwargs: (args, {**kwargs, "v": kwargs["k"]}), with_kwargs=True
    )


def read_elsewhere(path: str, slots: Any) -> Callable[[Any, pytest.MonkeyPatch], None]:
    """Give the module at `path` other tokens than those that it should get."""

    def change(ours: nn.Module, _: pytest.MonkeyPatch) -> None:
        seen: list[torch.Tensor] = []
        ours.get_submodule("hs").register_forward_hook(lambda module, args, out: seen.append(out))
        ours.get_submodule(path).register_forward_pre_hook(lambda module, args: (seen[-1][:, slots],))

    return change


def set_eps(path: str, eps: float) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def change(ours: nn.Module, _: pytest.MonkeyPatch) -> None:
        norm = ours.get_submodule(path)
        assert isinstance(norm, nn.LayerNorm | LayerNorm2d)
        assert norm.eps != eps
        norm.eps = eps

    return change


def replace(path: str, module: nn.Module) -> Callable[[Any, pytest.MonkeyPatch], None]:
    def change(ours: nn.Module, _: pytest.MonkeyPatch) -> None:
        parent, _, name = path.rpartition(".")
        assert isinstance(ours.get_submodule(path), nn.GELU | nn.ReLU)
        setattr(ours.get_submodule(parent), name, module)

    return change


def keep_residual(ours: Any, _: pytest.MonkeyPatch) -> None:
    ours.transformer.layers[0].self_attn.register_forward_hook(
        lambda module, args, kwargs, output: output + kwargs["q"], with_kwargs=True
    )


def transpose_image(ours: Any, _: pytest.MonkeyPatch) -> None:
    ours.input_image_size = ours.input_image_size[::-1]


def swap_labels(ours: Any, _: pytest.MonkeyPatch) -> None:
    embeddings = ours.point_embeddings
    embeddings[0], embeddings[1] = embeddings[1], embeddings[0]


# Where the variance is large, eps has no effect: these factors make the input of each norm small.
BLOCK = "transformer.layers.0"
SMALL = {
    f"{BLOCK}.norm1": {f"{BLOCK}.self_attn.out_proj": 1e-3},
    f"{BLOCK}.norm2": {f"{BLOCK}.norm1": 1e-3, f"{BLOCK}.cross_attn_token_to_image.out_proj": 1e-3},
    f"{BLOCK}.norm3": {f"{BLOCK}.norm2": 1e-3, f"{BLOCK}.mlp.lin2": 1e-3},
    f"{BLOCK}.norm4": {f"{BLOCK}.cross_attn_image_to_token.out_proj": 1e-3},
    "transformer.norm_final_attn": {
        "transformer.layers.1.norm3": 1e-3,
        "transformer.final_attn_token_to_image.out_proj": 1e-3,
    },
    "output_upscaling.1": {"output_upscaling.0": 1e-3},
}

MUTANTS = {
    "missing scale": Mutant("missing scale", scores_divided_by(lambda _: 1.0), f"{BLOCK}.self_attn.scores"),
    "q and k swapped": Mutant("swapped q and k", swap_q_and_k, f"{BLOCK}.self_attn.q"),
    "scaled by the internal width": Mutant(
        "wrong width scaled",
        scores_divided_by(lambda head_dim: math.sqrt(head_dim * HEADS)),
        f"{BLOCK}.self_attn.scores",
    ),
    # The self-attention scales as it should, the narrower cross-attentions by its width.
    "cross-attention scaled by the self-attention's width": Mutant(
        "wrong width scaled",
        scores_divided_by(lambda head_dim: math.sqrt(16 // HEADS)),
        f"{BLOCK}.cross_attn_token_to_image.scores",
    ),
    **{
        f"encoding added to v in {path}": Mutant(
            "positional encoding added to v", values_with_encoding(path), f"{path}.v"
        )
        for path in (
            "transformer.layers.1.self_attn",
            f"{BLOCK}.cross_attn_token_to_image",
            f"{BLOCK}.cross_attn_image_to_token",
            "transformer.final_attn_token_to_image",
        )
    },
    **{
        f"mask tokens read from slot {start}": Mutant(
            "wrong token slice",
            read_elsewhere("output_hypernetworks_mlps", slice(start, start + 4)),
            "hyper_in",
        )
        for start in (0, 2)
    },
    **{
        f"IoU token read from slot {slot}": Mutant(
            "IoU token read from another slot", read_elsewhere("iou_prediction_head", slot), "iou_pred"
        )
        for slot in (1, 5, -1)
    },
    **{
        f"eps 1e-6 in {path}": Mutant("LayerNorm eps", set_eps(path, 1e-6), first, scale=SMALL[path], image_scale=scale)
        for path, first, scale in (
            (f"{BLOCK}.norm1", f"{BLOCK}.queries_1", 1.0),
            (f"{BLOCK}.norm2", f"{BLOCK}.queries_2", 1.0),
            (f"{BLOCK}.norm3", f"{BLOCK}.queries_3", 1.0),
            (f"{BLOCK}.norm4", f"{BLOCK}.keys_4", 1e-3),
            ("transformer.norm_final_attn", "hs", 1.0),
        )
    },
    "eps 1e-5 in the upscaling": Mutant(
        "LayerNorm2d eps",
        set_eps("output_upscaling.1", 1e-5),
        "output_upscaling.normed",
        scale=SMALL["output_upscaling.1"],
    ),
    **{
        f"eps 1e-5 in mask_downscaling.{i}": Mutant(
            "LayerNorm2d eps",
            set_eps(f"mask_downscaling.{i}", 1e-5),
            "dense_embeddings",
            name="PromptEncoder",
            scale={f"mask_downscaling.{i - 1}": 1e-3},
        )
        for i in (1, 4)
    },
    "ReLU for the first GELU of the upscaling": Mutant(
        "ReLU for GELU", replace("output_upscaling.2", nn.ReLU()), "output_upscaling.activated_once"
    ),
    "ReLU for the last GELU of the upscaling": Mutant(
        "ReLU for GELU", replace("output_upscaling.4", nn.ReLU()), "output_upscaling.activated_twice"
    ),
    **{
        f"ReLU for GELU in mask_downscaling.{i}": Mutant(
            "ReLU for GELU", replace(f"mask_downscaling.{i}", nn.ReLU()), "dense_embeddings", name="PromptEncoder"
        )
        for i in (2, 5)
    },
    "approximate GELU": Mutant(
        "approximate GELU",
        replace("output_upscaling.2", nn.GELU(approximate="tanh")),
        "output_upscaling.activated_once",
    ),
    "GELU for ReLU in a block's MLP": Mutant(
        "GELU for ReLU", replace(f"{BLOCK}.mlp.act", nn.GELU()), f"{BLOCK}.mlp.hidden"
    ),
    "residual kept in block 0": Mutant("residual kept in block 0", keep_residual, f"{BLOCK}.queries_1"),
    "no last GELU in the upscaling": Mutant(
        "no last GELU", replace("output_upscaling.4", nn.Identity()), "output_upscaling.activated_twice"
    ),
    "height and width of the image swapped": Mutant(
        "image size swapped", transpose_image, "sparse_embeddings", name="PromptEncoder"
    ),
    "positive and negative swapped": Mutant("labels swapped", swap_labels, "sparse_embeddings", name="PromptEncoder"),
}

REQUIRED = {
    "missing scale",
    "swapped q and k",
    "positional encoding added to v",
    "wrong token slice",
    "LayerNorm eps",
    "LayerNorm2d eps",
    "ReLU for GELU",
    "residual kept in block 0",
    "no last GELU",
    "IoU token read from another slot",
    "wrong width scaled",
}


def build(mutant: Mutant) -> tuple[nn.Module, nn.Module, dict[str, Any]]:
    """Ours before the change, Meta's, and inputs for which the mistake has an effect."""
    ours, theirs = make_pair(mutant.name, 3, **(TINY if mutant.name == "MaskDecoder" else ENCODER))
    state = theirs.state_dict()
    for beginning, factor in mutant.scale.items():
        chosen = [key for key in state if key.startswith(f"{beginning}.")]
        assert chosen
        for key in chosen:
            state[key] *= factor
    theirs.load_state_dict(state, strict=True)
    ours.load_state_dict(state, strict=True)
    if mutant.name == "MaskDecoder":
        inputs = decoder_inputs(tokens=4, seed=3)
        for key in ("image_embeddings", "dense_prompt_embeddings"):
            inputs[key] *= mutant.image_scale
    else:
        points = (7 + 3 * randoms(3)(2, 3, 2), torch.tensor([[1, 0, -1], [0, 1, 1]]))
        inputs = {"points": points, "boxes": None, "masks": 5 * randoms(4)(2, 1, 8, 12)}
    return ours, theirs, inputs


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_killed(name, monkeypatch):
    mutant = MUTANTS[name]
    ours, theirs, inputs = build(mutant)
    assert_parity_forward(ours, theirs, inputs)
    assert_parity_trace_points(ours, theirs, inputs)

    mutant.change(ours, monkeypatch)
    with torch.no_grad():
        outputs = list(tensors(ours(**inputs)))  # no error of its own
    assert all(output.isfinite().all() for output in outputs)
    with pytest.raises(AssertionError, match=r"^output \d: off by "):
        assert_parity_forward(ours, theirs, inputs)
    with pytest.raises(AssertionError, match=rf"^first to differ: {re.escape(mutant.first)}\n"):
        assert_parity_trace_points(ours, theirs, inputs)


def test_every_required_kind_of_mistake_is_tested():
    assert {mutant.kind for mutant in MUTANTS.values()} >= REQUIRED
